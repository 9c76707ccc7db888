#!/usr/bin/env sh
# Nothing is replaced in a shell script: {F_STRING_VAR} below is printed as it stands.
set -eu

cat <<END
* shell and f-string variables that are used in shell scripts used to modify this image must be declared here
* if they are set to the empty string, they are set by the tree config that this stalk is contained in

These are bash variables
TREE_CONFIG_VAR is set to $TREE_CONFIG_VAR
STALK_CONFIG_VAR is set to $STALK_CONFIG_VAR

Python f-string subsitution is done on file plugins
e.g. {F_STRING_VAR} in /tmp/hello_file is set to
END
cat /tmp/hello_file
