---@meta readyq
-- SPDX-License-Identifier: MIT
--
-- Annotations of `require "readyq"` for language servers: they read this file, Lua never runs it.

---What a watch asks for: readyq.READ, WRITE, PRIORITY with EDGE, ONESHOT, EXCLUSIVE added, or the
---letters r, w and p in any order; 0 or "" pauses it.
---@alias readyq.interest integer | "" | "r" | "w" | "p"
---| "rw" | "wr" | "rp" | "pr" | "wp" | "pw"
---| "rwp" | "rpw" | "wrp" | "wpr" | "prw" | "pwr"

---What can be watched: a descriptor, an io file, or an object whose method or field
---getfd, fileno or pollfd gives a descriptor.
---@alias readyq.source integer | file* | table | userdata

---@alias readyq.kind "fd" | "timer" | "signal" | "process" | "trigger"

---@class readyq.options
---@field clock? "real" | "virtual" virtual: a wait jumps to the next deadline instead of sleeping
---@field debug? boolean | readyq.debug a watchdog warns of mistakes, as with READYQ_DEBUG=1

---@class readyq.debug
---@field turns? integer how many times in a row a watch may be reported (default: 10000)
---@field turn? number seconds that one turn of the loop may take (default: 0.1)
---@field rest? number seconds that data may stay unread after an EDGE delivery (default: 1)

---@class readyq
---@field READ integer interest and ready: reading would not block
---@field WRITE integer interest and ready: writing would not block
---@field PRIORITY integer interest and ready: exceptional data
---@field READ_CLOSED integer ready: nothing more will arrive after what is buffered
---@field WRITE_CLOSED integer ready: the peer will not read what is written
---@field ERROR integer ready: an error is pending
---@field FIRED integer ready: a timer, signal, process or trigger fired
---@field EDGE integer interest: report once per new arrival
---@field ONESHOT integer interest: disarm after one delivery; modify arms it again
---@field EXCLUSIVE integer interest: wake at least one of several queues, not all of them
---@field VERSION string
---@field loop_options? readyq.options for the queue of readyq.loop; set it before that is loaded
local readyq = {}

---Opens a queue. An invalid option raises an error; if a system call fails, the results are nil,
---message, errno.
---@param options? readyq.options
---@return readyq.queue? queue
---@return string? message
---@return integer? errno
function readyq.new(options) end

---Fires a trigger of any Lua state of this process, given its handle. It fails if the trigger was
---removed or collected, unless another trigger with a handle now has its place in memory.
---@param handle lightuserdata
---@return true? fired
---@return string? message
---@return integer? errno
function readyq.fire(handle) end

---@class readyq.queue
---@operator len: integer
local queue = {}

---Watches a descriptor, for reading if no interest is given. Adding it twice fails.
---@param source readyq.source
---@param interest? readyq.interest
---@param data? any
---@return readyq.watch? watch
---@return string? message
---@return integer? errno
function queue:add(source, interest, data) end

---Fires after `delay` seconds, then every `period` seconds; without a period only once.
---@param delay number
---@param data? any
---@param period? number
---@return readyq.watch? watch
---@return string? message
---@return integer? errno
function queue:add_timer(delay, data, period) end

---Fires when this process receives the signal: "TERM", "SIGTERM" or its number. Handlers of other
---libraries are called, too. While "INT" is watched, Ctrl-C does not raise "interrupted!".
---@param signal string | integer
---@param data? any
---@return readyq.watch? watch
---@return string? message
---@return integer? errno
function queue:add_signal(signal, data) end

---Fires once when the process has ended, and does not reap it.
---@param pid integer
---@param data? any
---@return readyq.watch? watch
---@return string? message
---@return integer? errno
function queue:add_process(pid, data) end

---Fires when its `fire` is called.
---@param data? any
---@return readyq.watch? watch
---@return string? message
---@return integer? errno
function queue:add_trigger(data) end

---Waits until something is ready, `timeout` seconds at most: nil waits forever; 0 checks and
---returns at once. Returns the iterator of a generic `for` with its state, and how many watches
---are ready. Watches that the loop does not take are delivered by the next wait, before newer
---events. A wait inside the loop counts as the next wait, and ends the loop. Here a failed system
---call raises an error, too.
---@param timeout? number
---@param maximum? integer
---@return fun(state?: integer): readyq.watch?, integer?, any iterator
---@return integer state
---@return integer count
function queue:wait(timeout, maximum) end

---Waits, then calls data(watch, ready) for each ready watch, or resumes it if it is a coroutine.
---An error propagates at once; watches that have not been taken yet are left to the next wait. So
---is a watch whose data can be neither called nor resumed.
---@param timeout? number
---@param maximum? integer
---@return integer count
function queue:dispatch(timeout, maximum) end

---Ends one wait: one that is in progress, or else the next. If a wake arrives together with
---events, the wait returns the events, and the wake is left for another wait. A signal handler in
---Lua, such as one passed to luaposix's signal.signal, may call it.
---@return true
function queue:wake() end

---Changes the interest of a watch and arms it again. Pass the watch itself or the source that was
---added.
---@param watch readyq.watch | readyq.source
---@param interest readyq.interest
---@return true? modified
---@return string? message
---@return integer? errno
function queue:modify(watch, interest) end

---Removes a watch. Pass the watch itself or the source that was added, even if that is closed.
---Returns false if the watch was already removed, or has fired and left its queue.
---@param watch readyq.watch | readyq.source
---@return boolean? removed
---@return string? message
---@return integer? errno
function queue:remove(watch) end

---The watch of a source that was added, or the watch itself, as long as it is in this queue; else
---nil. A watch of another queue is an error.
---@param source readyq.watch | readyq.source
---@return readyq.watch?
function queue:get(source) end

---Iterates over the watches with their data, as pairs(queue) does from Lua 5.2 on.
---@return fun(queue: readyq.queue, watch?: readyq.watch): readyq.watch?, any
---@return readyq.queue
function queue:watches() end

---Closes the queue and releases everything it held; closing again does nothing.
---@return true
function queue:close() end

---@return boolean
function queue:closed() end

---A descriptor for poll, epoll and the like, readable while a wait would return something. It
---belongs to the queue.
---@return integer? fd
---@return string? message
---@return integer? errno
function queue:fileno() end

---The same as fileno, under the name that cqueues calls.
---@return integer? fd
---@return string? message
---@return integer? errno
function queue:pollfd() end

---What cqueues polls the descriptor for.
---@return "r"
function queue:events() end

---How long cqueues may wait without an event: no limit (nil).
---@return nil
function queue:timeout() end

---The name of the kernel interface: "epoll" on Linux, "kqueue" elsewhere.
---@return string
function queue:backend() end

---The queue's clock in seconds: monotonic, or virtual.
---@return number
function queue:now() end

---@return readyq.stats
function queue:stats() end

---Records what the queue and its threads do from now on: the newest records, 100000 unless a
---number is given, 40 bytes each. A queue can have several recordings.
---@param records? integer
---@return readyq.recording? recording
---@return string? message
---@return integer? errno
function queue:record(records) end

---Compares what the queue watches with what the kernel says it watches. The list has a
---line for each difference, and is empty unless a watched descriptor was closed. The call is meant
---for tests, since it reads /proc and is slow. It fails if the kernel does not report what it
---watches (kqueue).
---@return string[]? differences
---@return string? message
---@return integer? errno
function queue:check() end

---Writes each call and delivery as a line to an io file, or calls a function with it; nil stops
---this. An error in the function, even the one that Ctrl-C raises, becomes a warning
---(Lua's `warn`), and so does a failed write.
---@param out file* | fun(line: string) | nil
---@return true? set
---@return string? message
---@return integer? errno
function queue:trace(out) end

---The figures of a queue. The C reference explains each under readyq_stats (READYQ_FIGURES in
---core/readyq.h). Times are in nanoseconds.
---@class readyq.stats
---@field watches integer
---@field adds integer
---@field removes integer
---@field waits integer
---@field events integer
---@field deliveries integer
---@field largest_batch integer
---@field fires integer
---@field wakes integer
---@field slept integer
---@field busy integer
---@field longest_turn integer
---@field system_calls integer
---@field kernel_waits integer
---@field changes integer
---@field kicks integer
---@field stale integer
---@field rebuilds integer
---@field ghosts integer
---@field ghost_fd? integer the descriptor of the last ghost
---@field kinds table<readyq.kind, readyq.kind_stats>

---@class readyq.kind_stats
---@field watches integer
---@field adds integer
---@field events integer
---@field deliveries integer

---What a queue did, step by step. As a variable with <close> it stops at the end of the block.
---@class readyq.recording
---@operator len: integer
local recording = {}

---One step. The C reference explains bits and value of each type under readyq_record_type
---(READYQ_RECORD_... in core/readyq.h).
---@class readyq.record
---@field time integer nanoseconds, on the monotonic clock
---@field thread integer the thread that did it
---@field type string "add", "wait_end", "delivery" ...
---@field watch? integer a number that no other watch of the queue has or had
---@field kind? readyq.kind of the watch
---@field number? integer its descriptor, signal or process id
---@field bits integer interest or ready, depending on the type
---@field value integer depends on the type; see enum readyq_record_type in readyq.h

---Ends the recording and keeps its records.
---@return true
function recording:stop() end

---Writes the records to a file in the Chrome Trace Event format (JSON), for
---https://ui.perfetto.dev, Speedscope and `python -m readyq.timeline`. A file that could not be
---written completely is removed.
---@param path string
---@return true? saved
---@return string? message
---@return integer? errno
function recording:save(path) end

---Iterates over a snapshot of the records, the oldest first.
---@return fun(): readyq.record?
function recording:records() end

---How many older records were dropped to make room for newer ones.
---@return integer
function recording:dropped() end

---@class readyq.watch
---@field queue readyq.queue the queue it was added to, even after it was removed
---@field kind readyq.kind
---@field fd? integer the descriptor; nil for other kinds
---@field source any what was added: the descriptor or object, the signal, the process id
---@field data any yours; can be set
---@field interest integer as last set
---@field ready integer what the last delivery found; 0 before the first one and once removed
---@field count integer expirations, signals or calls to fire since the previous delivery; else 1
---@field active boolean whether it is in its queue
---@field due? number when the timer fires, on the queue's clock; nil if it is not running
---@field period? number seconds, of a timer that repeats
---@field armed boolean false while paused, and after a ONESHOT delivery until modified
---@field status? integer a process's wait status, once it is delivered and if it is known
---@field readable boolean whether READ is in ready
---@field writable boolean whether WRITE is in ready
local watch = {}

---@param interest readyq.interest
---@return true? modified
---@return string? message
---@return integer? errno
function watch:modify(interest) end

---Removes the watch. Returns false if it was already removed, or has fired and left its queue.
---@return boolean? removed
---@return string? message
---@return integer? errno
function watch:remove() end

---Restarts a timer, whether it has fired or not: it fires `delay` seconds from now, and then
---once per period. A timer that was removed cannot be restarted.
---@param delay number
---@return true? restarted
---@return string? message
---@return integer? errno
function watch:restart(delay) end

---Fires a trigger.
---@return true? fired
---@return string? message
---@return integer? errno
function watch:fire() end

---Whether any of these bits is in ready.
---@param bits readyq.interest
---@return boolean
function watch:has(bits) end

---A trigger's address, for readyq.fire() in another Lua state of this process, and for
---readyq_fire() in C as long as the watch is not collected.
---@return lightuserdata
function watch:handle() end

---`require "readyq.loop"`: coroutines on a queue.
---@class readyq.loop
---@field queue readyq.queue for your own watches; data is a function(watch, ready) or a coroutine
---@field CANCELLED table what a wait of a cancelled coroutine raises
---@field on_error? fun(message: any, source: thread | readyq.watch) nil: step and run raise errors
local loop = {}

---A limit for several waits together.
---@class readyq.deadline
local deadline = {}

---The seconds that are left; 0 once it has passed.
---@return number
function deadline:left() end

---Seconds, or a deadline; nil waits as long as it takes. If the event occurs and the timeout
---expires at the same time, the event wins.
---@alias readyq.timeout number | readyq.deadline | nil

---Starts a coroutine that calls f(...): in the next step, or at the end of this one if an event's
---handler calls spawn.
---@param f function
---@param ... any
---@return thread
function loop.spawn(f, ...) end

---Starts a coroutine that calls f(...) every `period` seconds; missed calls are skipped.
---@param period number
---@param f function
---@param ... any
---@return thread
function loop.every(period, f, ...) end

---Like coroutine.wrap, for a function that waits: while it waits, the coroutine that calls the
---generator is suspended, and another one that calls it gets an error. A wait in a generator that
---coroutine.wrap made raises an error.
---@param f function
---@return fun(...: any): any ...
function loop.wrap(f) end

---A deadline `seconds` seconds from now.
---@param seconds number
---@return readyq.deadline
function loop.deadline(seconds) end

---Waits; without seconds, until others have had their turn. Like every wait, it raises an error
---outside a coroutine and inside a call to a C function; and also if something other than the loop
---resumes the coroutine meanwhile.
---@param seconds? readyq.timeout
function loop.sleep(seconds) end

---Waits until reading would not block, and returns true; or nil with "timeout", "closed", or a
---message and an errno.
---@param s readyq.source
---@param timeout? readyq.timeout
---@return true? ready
---@return string? message
---@return integer? errno
function loop.readable(s, timeout) end

---Waits until writing would not block, and returns true; or nil with "timeout", "closed", or a
---message and an errno.
---@param s readyq.source
---@param timeout? readyq.timeout
---@return true? ready
---@return string? message
---@return integer? errno
function loop.writable(s, timeout) end

---Waits until there is exceptional data, and returns true; or nil with "timeout", "closed", or a
---message and an errno.
---@param s readyq.source
---@param timeout? readyq.timeout
---@return true? ready
---@return string? message
---@return integer? errno
function loop.priority(s, timeout) end

---Waits until the process has ended, and does not reap it. Returns its wait status, or -1 if that
---is not known.
---@param pid integer
---@param timeout? readyq.timeout
---@return integer? status as waitpid gives it
---@return string? message
---@return integer? errno
function loop.wait_process(pid, timeout) end

---Waits until the coroutine has ended. Returns its results; or nil, its error and a traceback; or
---nil and "timeout"; or nil and "closed" if the program had already closed it. An error that is
---returned is not reported elsewhere. If you close a coroutine that others are joining, call
---cancel(co) as well.
---@param co thread started by spawn or every
---@param timeout? readyq.timeout
---@return any ...
function loop.join(co, timeout) end

---An event, which is either set or not.
---@class readyq.event
local event = {}

---Ends all waits for the event, including those that begin later, until clear.
function event:set() end

function event:clear() end

---@return boolean
function event:is_set() end

---Waits until the event is set, and returns true; or nil and "timeout".
---@param timeout? readyq.timeout
---@return true? set
---@return string? message
function event:wait(timeout) end

---@return readyq.event
function loop.event() end

---A descriptor and its direction, for loop.any.
---@class readyq.direction
---@field [1] readyq.source
---@field [2] "r" | "w" | "p"

---A process, for loop.any.
---@class readyq.process
---@field process integer

---What loop.any waits for; a descriptor alone means that it can be read.
---@alias readyq.waitable
---| readyq.source
---| readyq.direction
---| readyq.event
---| thread
---| readyq.process

---@class readyq.waitables
---@field [integer] readyq.waitable
---@field timeout? readyq.timeout

---Waits for the first of several items. Returns its position in the list and what a wait for it
---alone would return; or nil and "timeout". A list with a hole is an error.
---@param items readyq.waitables
---@return integer? number
---@return any ...
function loop.any(items) end

---Makes the coroutine's wait, or its next one, raise loop.CANCELLED, which ends it silently.
---@param co thread started by spawn or every, or the data of a watch
function loop.cancel(co) end

---Whether the coroutine waits in the loop, or has not had its first step yet. A coroutine that is
---neither dead nor waiting has yielded to the program, and the program must resume it.
---@param co thread
---@return boolean
function loop.is_waiting(co) end

---Stops watching an object, ends the waits for it with "closed", and calls its `close`, if any.
---@param s readyq.source
---@return any ... what its close returns
function loop.close(s) end

---Resumes the coroutines that can continue, after waiting for them for `timeout` seconds at most
---(nil: as long as it takes). It sleeps if only watches of the program are left, and returns at
---once if nothing is left, or only watches that the loop keeps for later waits.
---@param timeout? readyq.timeout
---@return boolean whether a coroutine waits, or is the data of a watch
function loop.step(timeout) end

---Steps until no coroutine is waiting, and none is the data of a watch; or until stop.
function loop.run() end

---Ends the current run after its step. The waits continue in the next run.
function loop.stop() end

---`require "readyq.socket"`: a copy of LuaSocket's module `socket`. In a coroutine of readyq.loop
---its calls wait in the loop; elsewhere they block. All results are those of LuaSocket.
---@class readyq.socket
---@field original table LuaSocket's module
local socket = {}

---An object of readyq.socket. It has all methods of the LuaSocket or LuaSec object that it wraps;
---those that wait are listed here.
---@class readyq.socket.object
---@field raw userdata the LuaSocket or LuaSec object
local object = {}

---@param host string a name, whose lookup blocks the loop, or an address
---@param port integer | string
---@return 1? connected
---@return string? message
function object:connect(host, port) end

---@return readyq.socket.object? client
---@return string? message "timeout", "closed", or what went wrong
function object:accept() end

---@param pattern? "*l" | "*a" | integer
---@param prefix? string
---@return string? data
---@return string? message "timeout", "closed", or what went wrong
---@return string? part what has arrived by then
function object:receive(pattern, prefix) end

---@param data string
---@param first? integer
---@param last? integer
---@return integer? last the last byte that was sent
---@return string? message "timeout", "closed", or what went wrong
---@return integer? sent the last byte that was sent by then
function object:send(data, first, last) end

---@param size? integer
---@return string? datagram
---@return string? address or a message
---@return integer? port
function object:receivefrom(size) end

---@param datagram string
---@param address string
---@param port integer | string
---@return integer? sent
---@return string? message
function object:sendto(datagram, address, port) end

---Only LuaSec objects have this method.
---@return boolean done
---@return string? message "wantread" or "wantwrite" after a timeout
function object:dohandshake() end

---Limits the calls that follow. A limit of mode "b" or "t" counts from the beginning of a call; if
---both are set, "t" does so, and "b" limits each wait within the call.
---@param seconds? number nil and negative numbers mean no limit
---@param mode? "b" | "t" | "r"
---@return 1
function object:settimeout(seconds, mode) end

---Closes the object. Calls in which other coroutines wait for it return nil and "closed".
---@return 1
function object:close() end

---Wraps a LuaSocket or LuaSec object in one whose calls wait.
---@param raw userdata
---@return readyq.socket.object
function socket.wrap(raw) end

---@return readyq.socket.object? object
---@return string? message
function socket.tcp() end

---@return readyq.socket.object? object
---@return string? message
function socket.udp() end

---@param host string
---@param port integer | string
---@param backlog? integer
---@return readyq.socket.object? listener
---@return string? message
function socket.bind(host, port, backlog) end

---@param host string
---@param port integer | string
---@param local_host? string
---@param local_port? integer | string
---@param family? "inet" | "inet6" | "unspec"
---@return readyq.socket.object? client
---@return string? message
function socket.connect(host, port, local_host, local_port, family) end

---@param readers? table
---@param writers? table
---@param timeout? number
---@return table readable an array that is also a set
---@return table writable
---@return "timeout"? word when both are empty
function socket.select(readers, writers, timeout) end

---@param seconds number
function socket.sleep(seconds) end

---From now on `require` returns copies of "socket", "socket.unix" and "ssl" whose objects wait in
---the loop.
---@return table original LuaSocket's module
function socket.install() end

---`require "readyq.select"`: LuaSocket's socket.select without its limit.
---@class readyq.select
local select = {}

---Each call asks every object for its descriptor and whether it is dirty. Of a list with methods
---`insert` and `remove`, as copas has, it asks only the members that those methods changed or that
---the previous call returned.
---@param recvt? table
---@param sendt? table
---@param timeout? number seconds; nil or negative waits as long as it takes
---@return table readable an array that is also a set
---@return table writable
---@return "timeout"? word when both are empty
function select.select(recvt, sendt, timeout) end

---Ends the waiting call, with "timeout" if nothing is ready; for signal handlers in Lua.
function select.wake() end

---Replaces LuaSocket's select with this one.
---@return function original
function select.install() end

---`require "readyq.repl"`: the prompt of `lua -l readyq.repl`.
---@class readyq.repl
local repl = {}

---Reads lines from standard input and runs them until it ends.
function repl.run() end

---`require "readyq.picture"`: the table that print(q) shows at the prompt.
---@class readyq.picture
local picture = {}

---The queue's name, and a line for each watch, cut to that many columns.
---@param q readyq.queue
---@param columns? integer nil: as many as it takes
---@return string
function picture.table(q, columns) end

return readyq
