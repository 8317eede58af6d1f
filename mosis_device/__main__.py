import sys

from mosis_device.cli import main

sys.exit(main())
