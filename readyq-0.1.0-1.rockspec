-- SPDX-License-Identifier: MIT
package = "readyq"
version = "0.1.0-1"
source = { url = "." }
description = {
  summary = "One event queue over the kernel's own, in C, Python and Lua",
  license = "MIT",
}
supported_platforms = { "linux", "macosx", "bsd" }
dependencies = { "lua >= 5.1, < 5.6" }
build = {
  type = "make",
  makefile = "GNUmakefile",
  build_target = "lua-module",
  install_target = "install-lua",
  build_variables = {
    CFLAGS = "$(CFLAGS)",
    LUA = "$(LUA)",
    LUA_INCLUDE = "$(LUA_INCDIR)",
  },
  install_variables = {
    CFLAGS = "$(CFLAGS)",
    LUA = "$(LUA)",
    LUA_INCLUDE = "$(LUA_INCDIR)",
    INSTALLED = "",
    LUA_LIBDIR = "$(LIBDIR)",
    LUA_SHAREDIR = "$(LUADIR)",
    docdir = "$(PREFIX)/doc",
  },
}
