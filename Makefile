# SPDX-License-Identifier: MIT
#
# Builds readyq in place, and installs the C library and the Lua modules. tools/setup.sh finds
# Python, Lua and their headers. `make help` lists the commands.

SETUP = PYTHON='$(PYTHON)' LUA='$(LUA)' LUA_INCLUDE='$(LUA_INCLUDE)' CC='$(CC)' tools/setup.sh
PYTHON ?= python3
LUA ?= lua5.4
.DEFAULT_GOAL := all

# The installed programs can change between two runs, so each run looks for them. The file is
# written, and everything is rebuilt, only if the result has changed.
ifneq ($(MAKECMDGOALS),clean)
include build/config.mk
endif
build/config.mk: always
	@$(SETUP) find
build/flags: always
	@echo '$(CC) $(CFLAGS) $(LDFLAGS)' | cmp -s - $@ || echo '$(CC) $(CFLAGS) $(LDFLAGS)' >$@

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
LUA_SHAREDIR ?= $(PREFIX)/share/lua/$(lua_version)
LUA_LIBDIR ?= $(LIBDIR)/lua/$(lua_version)
CFLAGS ?= -O2 -g

WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wvla
FLAGS = -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -pthread -Icore

# The checks of the C library need an optimizing compiler.
FORTIFY = $(if $(filter-out -O0,$(filter -O%,$(CFLAGS))),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
HARDENED = $(FORTIFY) $(hardening_cflags)
LINK_SHARED = $(CC) -shared -pthread $(hardening_ldflags)

VERSION := $(shell sed -n 's/^#define READYQ_VERSION "\(.*\)".*/\1/p' core/readyq.h)
SONAME := libreadyq.so.$(firstword $(subst ., ,$(VERSION)))

CORE := $(patsubst %.c,build/%.o,$(wildcard core/*.c))
PYTHON_OBJECTS := $(patsubst %.c,build/%.o,$(wildcard bindings/python/*.c))
LUA_OBJECTS := $(patsubst %.c,build/%.o,$(wildcard bindings/lua/*.c))
EXAMPLES := $(patsubst %.c,build/%,$(wildcard examples/*.c))
PYTHON_MODULE = python/readyq/_core$(python_suffix)
LUA_MODULE = build/lua/readyq/core.so

ENV = PYTHONPATH="$(CURDIR)/python$${PYTHONPATH:+:$$PYTHONPATH}" \
      LUA_PATH="$(CURDIR)/lua/?.lua;;" LUA_CPATH="$(CURDIR)/build/lua/?.so;;"
RUN = env -u MAKEFLAGS -u MAKELEVEL $(ENV) PATH="$$PATH:$(CURDIR)/build/bin" PYTHON="$(python)" LUA="$(lua)" \
      LUA_INCLUDE="$(lua_include)" CC="$(CC)" CFLAGS="$(CFLAGS)"

all: lib python-module lua-module examples
lib: build/libreadyq.a build/libreadyq.so
python-module: $(PYTHON_MODULE)
lua-module: $(LUA_MODULE)
examples: $(EXAMPLES)

build/libreadyq.a: $(CORE)
	rm -f $@ && $(AR) rcs $@ $^

build/libreadyq.so: $(CORE)
	$(LINK_SHARED) -Wl,-soname,$(SONAME) $(LDFLAGS) -o $@ $^
	ln -sf libreadyq.so build/$(SONAME)

# The modules contain the core and export none of its symbols, so that several copies of the core
# can be in one process.
$(PYTHON_MODULE): $(PYTHON_OBJECTS) build/libreadyq.a
	$(LINK_SHARED) -Wl,--exclude-libs,ALL $(LDFLAGS) -o $@ $^

$(LUA_MODULE): $(LUA_OBJECTS) build/libreadyq.a
	@mkdir -p $(@D)
	$(LINK_SHARED) -Wl,--exclude-libs,ALL $(LDFLAGS) -o $@ $^

$(PYTHON_OBJECTS): HEADERS = -isystem $(python_include)
$(PYTHON_OBJECTS): | need-python
# A Lua module mostly calls the interpreter; -fno-plt saves a jump in each call.
$(LUA_OBJECTS): HEADERS = -isystem $(lua_include) -fno-plt
$(LUA_OBJECTS): | need-lua
build/%.o: %.c build/config.mk build/flags
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(HARDENED) $(HEADERS) $(WARNINGS) $(CFLAGS) -MMD -MP -c -o $@ $<

build/examples/%: examples/%.c build/libreadyq.a
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(CFLAGS) -MMD -MP -o $@ $< build/libreadyq.a

-include $(wildcard build/*/*.d build/*/*/*.d)

need-python:
	@$(SETUP) check compiler python python_headers
need-lua:
	@$(SETUP) check compiler lua lua_headers

# Set-up can change the configuration, so the commands after it run in a make of their own.
demo:
	@$(SETUP) build
	@$(MAKE) -s show
test:
	@$(SETUP) test
	@$(MAKE) -s check
lint:
	@$(SETUP) lint
	@$(MAKE) -s inspect
setup:
	@$(SETUP) all

show: all
	@build/examples/demo
	@$(RUN) $(python) examples/demo.py
	@$(RUN) $(lua) examples/demo.lua
check: all
	@$(RUN) $(python) -m pytest $(TESTS)
inspect: lib
	@FLAGS='$(FLAGS) $(WARNINGS)' PYTHON_INCLUDE='$(python_include)' LUA_INCLUDE='$(lua_include)' \
	    tools/lint.sh
test-stdlib: python-module
	@$(RUN) $(python) tests/stdlib/run.py
repl:
	@$(SETUP) repl
	@$(MAKE) -s repl-here
repl-here: python-module
	@$(RUN) sh -c 'for one in $(python) build/venv/bin/python; do \
	    "$$one" -c "import prompt_toolkit, readyq" 2>/dev/null && exec "$$one" -m readyq; done; \
	    exec $(python) -m readyq'
repl-lua: lua-module
	@$(RUN) $(lua) -l readyq.repl
fuzz:
	@$(SETUP) fuzz
	@$(MAKE) -s fuzz-here
fuzz-here:
	@env -u MAKEFLAGS -u MAKELEVEL $(python) tests/fuzz/run.py $(or $(SECONDS),60)
docs:
	@$(SETUP) docs
	@$(MAKE) -s site
site: python-module
	@rm -rf build/docs
	@build/venv/bin/python -m sphinx -q -W --keep-going -b html docs build/docs/html
	@echo 'built build/docs/html/index.html'
coverage:
	@$(SETUP) coverage
	@PYTHON='$(CURDIR)/build/venv/bin/python' tools/coverage.sh
soak: build/tests/soak
	@$< $(or $(SECONDS),60)
build/tests/soak: $(wildcard tests/soak/*) build/libreadyq.a
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(CFLAGS) -o $@ tests/soak/soak.c build/libreadyq.a
spin: build/config.mk
	@$(RUN) $(python) -m pytest -v tests/test_spin.py
model: python-module
	@$(RUN) PYTHONPATH="$(CURDIR)/python:$(CURDIR)/tests" $(python) -m model.hunt \
	    --operations $(or $(OPERATIONS),100000) --seed $(or $(SEED),1)
memory:
	@$(SETUP) memory
	@$(MAKE) -s all
	@$(RUN) $(python) tests/memory.py
references:
	@$(SETUP) references
	@$(MAKE) -s all
	@$(RUN) $(python) tests/references.py $(TESTS)
races: all
	@$(RUN) $(python) -m pytest -v tests/test_races.py tests/test_c.py -k without_a_race
faults: all
	@$(RUN) $(python) -m pytest -v tests/test_c.py tests/test_lua.py tests/python/test_memory.py \
	    -k 'not without_a_race and (faults or memory or sandbox or meanwhile)'
cross:
	@$(SETUP) cross
	@PYTHON='$(if $(wildcard build/venv/bin/python),build/venv/bin/python,$(PYTHON))' tools/cross.sh
bench: all
	@$(RUN) $(python) bench/run.py $(BENCH)

env:
	@echo 'export $(ENV)'
	@[ ! -d build/bin ] || echo 'export PATH="$(CURDIR)/build/bin:$$PATH"'

install: install-c install-lua
	@echo 'The Python package is installed by pip: pip install .'
install-c: lib
	install -d $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 core/readyq.h $(DESTDIR)$(INCLUDEDIR)/readyq.h
	install -m 644 build/libreadyq.a $(DESTDIR)$(LIBDIR)/libreadyq.a
	install -m 755 build/libreadyq.so $(DESTDIR)$(LIBDIR)/libreadyq.so.$(VERSION)
	ln -sf libreadyq.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libreadyq.so
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
	    -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' readyq.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/readyq.pc
install-lua: lua-module
	install -d $(DESTDIR)$(LUA_LIBDIR)/readyq $(DESTDIR)$(LUA_SHAREDIR)/readyq
	install -m 755 $(LUA_MODULE) $(DESTDIR)$(LUA_LIBDIR)/readyq/core.so
	install -m 644 lua/readyq.lua $(DESTDIR)$(LUA_SHAREDIR)/readyq.lua
	for file in $(wildcard lua/readyq/*.lua); do \
	    install -m 644 $$file $(DESTDIR)$(LUA_SHAREDIR)/readyq/ || exit; done

# A package for luarocks, which builds and installs it on any machine.
rock:
	@tools/rock.sh

clean:
	rm -rf build python/readyq/*.so

help:
	@echo 'make            build in place; then: eval "$$(make -s env)"'
	@echo 'make demo       install what is missing, build, and show how a queue works'
	@echo 'make test       install what is missing, build, and run all tests (TESTS=...: only these)'
	@echo 'make check      build and run all tests (TESTS=...: only these), without set-up'
	@echo 'make test-stdlib  run the tests of selectors and asyncio on readyq; takes minutes'
	@echo 'make repl       install prompt_toolkit if missing, and start a Python prompt with a queue'
	@echo 'make repl-lua   the same for Lua'
	@echo 'make lint       install what is missing, and check the sources'
	@echo 'make setup      install what the commands above need'
	@echo 'make fuzz       install what is missing, and run each fuzzer for SECONDS=60'
	@echo 'make coverage   count the lines and branches that the tests reach'
	@echo 'make model      compare a queue with a model of it: OPERATIONS=100000 SEED=1'
	@echo 'make soak       run a mixed load for SECONDS=60 and count lost, stale and early events'
	@echo 'make spin       search every order of waking, waiting and closing in a model'
	@echo 'make memory     install what is missing, and run the tests under valgrind; takes minutes'
	@echo 'make references  find leaked references with a debug CPython; takes minutes'
	@echo 'make races      run every call against every other under ThreadSanitizer'
	@echo 'make faults     let every system call and allocation fail once, in C, Python and Lua'
	@echo 'make cross      compile and link the core for other systems'
	@echo 'make bench      measure readyq beside other event loops (BENCH=lines: only that)'
	@echo 'make docs       install what is missing, and build the site into build/docs/html'
	@echo 'make install    install the C library and Lua modules into PREFIX (DESTDIR=... for staging)'
	@echo 'make rock       pack the sources as build/readyq-VERSION-1.src.rock for luarocks'
	@echo 'make clean      remove everything that was built, and the virtual environment'
	@echo 'PYTHON=python3.12, LUA=lua5.3 and CC=clang replace python3, lua5.4 and cc.'

.PHONY: all lib python-module lua-module examples always need-python need-lua demo test lint setup \
        test-stdlib repl repl-here repl-lua show check inspect docs site model coverage soak spin races faults fuzz fuzz-here memory \
        references cross bench env install install-c install-lua rock clean help
