# SPDX-License-Identifier: MIT
#
# GNU make reads GNUmakefile instead. Other makes, those of the BSDs among them, run .BEGIN first.

.BEGIN:
	@echo 'readyq is built by GNU make: run gmake instead of make' >&2; exit 1
all:
