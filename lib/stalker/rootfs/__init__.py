"""An image's root file system as a tar stream: filtered, compared, exported."""
