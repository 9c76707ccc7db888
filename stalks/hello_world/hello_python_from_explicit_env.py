#!/usr/bin/env python3
import os

from kantoo.hello import *

hello(os.environ["HELLO_EXPLICIT"])
