#!lua name=statushub5
-- The contract of contract.py, kept inside Redis. A publish is atomic: fence, clock, store, announce.
--
-- The library's name and the names of its functions carry the major version, which changes with the form of a call
-- or of the data. All keys of a tenant share the hash tag of its prefix ("hub:{acme}") and so one slot of a cluster.
-- Each function declares every key that it touches: while a slot migrates, Redis then refuses a call whose keys are
-- not all here (TRYAGAIN) instead of running it in part. Event data are opaque bytes: cjson would turn [] into {} and
-- round large numbers.
--
--   <prefix>:clock            hash   epoch, offset, run_id and replid (of the server that wrote it), now (the latest time that was
--                                    seen, in ms), swept (the last sweep, in ms), pause (for how long lease time stood
--                                    still, in ms), contents and bytes (what the tenant stores), floor (see below),
--                                    followed (until when hubs follow the whole tenant, in ms),
--                                    and what hubs write for other publishers: retention, default_lease, max_contents,
--                                    max_bytes, max_channel_contents
--   <prefix>:leases           zset   content ids by deadline, in ms of lease time
--   <prefix>:ends             zset   content ids, and tombstones as "\1<channel>\t<id>", by the end of their retention
--   <prefix>:cancels          zset   content ids by when a request to cancel ends them, in ms of lease time; some have ended
--   <prefix>:index            zset   channels by the offset of their latest event
--   <prefix>:names            zset   channels by name
--   <prefix>:rates            hash   token buckets of publishers, by sub
--   <prefix>:content:<id>     hash   channel, attempt, run, runs (former ones), began (the run, in ms), seq, seq_offset
--                                    (the offset of the event that brought seq), phase, closed, offset, type, data,
--                                    lease (in s), cancel (a request to cancel the attempt, as JSON) and cancel_at (its offset);
--                                    of one that grows, grown (how, see below), and "=<field>" with the value of each field
--                                    that deltas have set;
--                                    of a removed content: removed (the offset of its tombstone) and from (its channel),
--                                    and where it was removed on request, gone (when, in ms), attempt, run, runs and seq
--   <prefix>:growth:<id>      string the log of a content that grows: what deltas have appended, as records
--   <prefix>:channel:<name>   zset   by offset: content ids, tombstones as "\1<id>", and the channel's floor as "\2"
--   <prefix>:counts:<name>    hash   contents by phase, and updated (when its latest event came, in ms)
--   <prefix>:events:<name>    sharded pub/sub channel of announcements
--   <prefix>:events           sharded pub/sub channel of all announcements of the tenant, while it is followed
--
-- The floor is the offset of the latest tombstone that was forgotten: a cursor below it may have missed a removal. That
-- of a channel that is empty is kept in the clock, for all such channels together.

-- A record is "<op> <field> <items> <bytes>\n" and so many bytes, which are JSON and are not parsed. A delta is records
-- "s" (the field's new value), "t" and "l" (what is appended, between the quotes of a text or the brackets of a list,
-- which has so many items). The log has "t" and "l", and what their fields held before the first of them where that is
-- not in the content's own fields: "b" (the data of former whole events, for all fields before it that have no such
-- record yet) or "v" (the value of one field). `grown` is the log's length and, in lines "<op> <field> <items> <bytes>
-- <1 where it has such a record>", each field that deltas have set ("s") or appended to.

local MINOR = 6
local DEFAULT_RETENTION_MS = 7 * 24 * 3600 * 1000
local TOMBSTONE_MS = 24 * 3600 * 1000
local SWEEP_GAP_MS = 5000
local FORMER_RUNS = 8
local MAX_PUBLISHERS = 10000
local LARGEST = 2 ^ 53
local SECOND_US = 1000000
local LARGEST_SCORE = '9007199254740991'
local PHASES = { 'pending', 'processing', 'completed', 'failed', 'idle' }
local KEYS_BEFORE, KEYS_EACH = 6, 4
local ARGS_BEFORE, ARGS_EACH = 10, 12
local CANCEL_LEASE, CANCEL_GRACE = 60, 10
local GROWN_BYTES, GROWN_ITEMS, GROWN_FIELDS = 1024 * 1024, 10000, 16
local FILLED_FIELDS = { timestamp = true, estimated_completion = true }
local DELTA = 'content_delta'
local TOMB, FLOOR = '\1', '\2'
-- Arguments of one command that moves channels in the index: unpack takes less than 8,000.
local MOVES = 2000

local function integer(number)
  return string.format('%.0f', number)
end

local function base36(number)
  local digits, name = '0123456789abcdefghijklmnopqrstuvwxyz', ''
  while number > 0 do
    local digit = number % 36
    name = string.sub(digits, digit + 1, digit + 1) .. name
    number = (number - digit) / 36
  end
  return name
end

-- The epoch that follows `stored`: epochs are times in microseconds, and grow. Where the server's clock was set back, it
-- is drawn from the second after `stored`, lest two restored copies of one clock begin the same.
local function next_epoch(stored, us)
  local last = stored and #stored <= 11 and tonumber(stored, 36) or 0
  return base36(last < LARGEST - SECOND_US and math.max(us, last + 1 + us % SECOND_US) or us)
end

-- What hubs write for publishers that pass none.
local SETTINGS = { 'retention', 'default_lease', 'max_contents', 'max_bytes', 'max_channel_contents' }

-- Cached for the life of the server process.
local server_run_id

local function run_id()
  if not server_run_id then
    server_run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  end
  return server_run_id
end

-- The tenant's clock. A server other than the one that wrote it, or one that was promoted since, may have lost the
-- latest offsets, so it begins a new epoch before anything is read or published. A promotion keeps the id of before as
-- the second one; a server whose first replica attaches takes a new id, too, and has no second one. A clock that was
-- lost begins at an offset that nothing older can have.
local function clock(key)
  local stored = redis.call('HMGET', key, 'epoch', 'offset', 'replid', 'now', 'swept', 'pause', 'floor', 'run_id',
    'contents', 'bytes', 'followed', unpack(SETTINGS))
  local time = redis.call('TIME')
  local us = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local ms = math.floor(us / 1000)
  local info = redis.call('INFO', 'replication')
  local replid, former = string.match(info, 'master_replid:(%w+)'), string.match(info, 'master_replid2:(%w+)')
  local clk = {
    key = key, prefix = string.sub(key, 1, -7), epoch = stored[1], offset = tonumber(stored[2]), ms = ms,
    now = math.max(ms, tonumber(stored[4]) or 0), swept = tonumber(stored[5]), pause = tonumber(stored[6]) or 0,
    floor = tonumber(stored[7]) or 0, contents = tonumber(stored[9]) or 0, bytes = tonumber(stored[10]) or 0,
    followed = (tonumber(stored[11]) or 0) > ms, settings = { unpack(stored, 12, 11 + #SETTINGS) },
  }
  local promoted = stored[3] ~= replid and not string.find(former or '', '^0+$')
  if not clk.epoch or not clk.offset or stored[8] ~= run_id() or promoted then
    clk.epoch = next_epoch(stored[1], us)
    clk.offset = clk.offset or us
    redis.call('HSET', key, 'epoch', clk.epoch, 'offset', integer(clk.offset), 'replid', replid, 'run_id', run_id())
  elseif stored[3] ~= replid then
    redis.call('HSET', key, 'replid', replid)
  end
  return clk
end

-- Lease time runs only while hubs sweep. It stands still from the last sweep on where that is long ago, or where the
-- server's clock was set back.
local function lease_time(clk)
  local swept = clk.swept
  if swept and (clk.ms < swept or clk.ms - swept > SWEEP_GAP_MS) then return swept - clk.pause end
  return clk.ms - clk.pause
end

local function sum(counts)
  local total = 0
  for i = 1, #PHASES do total = total + (tonumber(counts[i]) or 0) end
  return total
end

-- `cancel` is the request to cancel, where there is one. `data` of a delta are its records, and `after` the offset of the
-- event that it builds on; of a content that has grown, `log` are the records that readers compose with its data.
local function announce(clk, channel, offset, prev, id, type, data, cancel, after, log)
  local head = { clk.epoch, offset, integer(prev), id, type, cancel }
  if after or log then
    head[6], head[7], head[8] = cancel or '', after or '', log and integer(#data) or ''
  end
  local message = table.concat(head, '\t') .. '\n' .. data .. (log or '')
  redis.call('SPUBLISH', clk.prefix .. ':events:' .. channel, message)
  if clk.followed then
    local head = table.concat({ channel, integer(clk.before), integer(clk.floor) }, '\t')
    redis.call('SPUBLISH', clk.prefix .. ':events', head .. '\t' .. message)
  end
end

-- The offset of a channel's latest event, or nil where its key holds something else.
local function latest(channel_key)
  local last = redis.pcall('ZRANGE', channel_key, LARGEST_SCORE, 0, 'BYSCORE', 'REV', 'LIMIT', 0, 1, 'WITHSCORES')
  if last.err then return nil end
  return tonumber(last[2] or 0)
end

local function advance(clk, prev)
  clk.before, clk.offset = clk.offset, math.max(clk.offset, prev) + 1
  return integer(clk.offset)
end

-- The first write of an event: false where the key of the channel's counts holds something else. To write it finds that
-- out, so that nothing has to be read of a channel with each event.
local function touch(clk, counts_key)
  clk.updated = clk.updated or integer(clk.ms)
  return type(redis.pcall('HSET', counts_key, 'updated', clk.updated)) == 'number'
end

-- The channel's entry of the index, with an event that moves a content from the phase `before` to `after`, each or nil.
-- The channels that one call moves are written together, by `save`.
local function enter(shared, channel, counts_key, offset, before, after)
  shared.moved[#shared.moved + 1], shared.moved[#shared.moved + 2] = offset, channel
  if before == after then return end
  if before then redis.call('HINCRBY', counts_key, before, -1) end
  if after then redis.call('HINCRBY', counts_key, after, 1) end
end

-- Data of the former version had TTLs, and neither phases nor counts. A channel of it is taken over with the first
-- publish into it; one that is never published into vanishes with its TTLs. When its latest event came is not known: in
-- the index it is when the channel was taken over. The contents' keys are not declared here, since they are found by
-- reading.
local function take_over(clk, shared, channel, channel_key, counts_key)
  if redis.call('PTTL', channel_key) < 0 then return end
  for _, id in ipairs(redis.call('ZRANGE', channel_key, 0, -1)) do
    local key = clk.prefix .. ':content:' .. id
    local stored = redis.pcall('HMGET', key, 'channel', 'closed', 'type', 'given', 'leased', 'data', 'phase')
    local ttl = redis.call('PTTL', key)
    if stored.err or stored[1] ~= channel or ttl < 0 then
      redis.call('ZREM', channel_key, id)
    elseif not stored[7] then
      local phase = stored[2] ~= '1' and 'processing' or stored[3] == 'processing_error' and 'failed' or 'completed'
      redis.call('HSET', key, 'phase', phase, 'seq_offset', stored[4] or '', 'lease', stored[5] == '0' and '' or '1')
      redis.call('HDEL', key, 'given', 'leased')
      redis.call('PERSIST', key)
      redis.call('ZADD', shared.ends, integer(clk.ms + ttl), id)
      redis.call('HINCRBY', counts_key, phase, 1)
      clk.contents, clk.bytes = clk.contents + 1, clk.bytes + #(stored[6] or '')
    end
  end
  local last = latest(channel_key)
  if last == 0 then return end
  redis.call('PERSIST', channel_key)
  redis.call('ZADD', shared.names, 0, channel)
  if touch(clk, counts_key) then enter(shared, channel, counts_key, integer(last)) end
end

local function record(op, name, items, payload)
  return op .. ' ' .. name .. ' ' .. integer(items) .. ' ' .. integer(#payload) .. '\n' .. payload
end

-- Calls `visit` with the op, field, items, payload and text of each record; false where they are malformed.
local function each_record(text, visit)
  local at = 1
  while at <= #text do
    local _, head, op, name, items, bytes = string.find(text, '^(%a) ([^%c ]+) (%d+) (%d+)\n', at)
    local last = head and head + tonumber(bytes)
    if not last or last > #text then return false end
    visit(op, name, tonumber(items), string.sub(text, head + 1, last), string.sub(text, at, last))
    at = last + 1
  end
  return true
end

-- How a content has grown: the length of its log, and by name the fields that deltas have set or appended to.
local function read_grown(text)
  local grown = { length = tonumber(string.match(text, '^%d+')) or 0, sets = {}, appends = {} }
  for op, name, items, bytes, based in string.gmatch(text, '\n(%a) ([^%c ]+) (%d+) (%d+) (%d)') do
    local field = { op = op, items = tonumber(items), bytes = tonumber(bytes), based = based }
    if op == 's' then grown.sets[name] = field else grown.appends[name] = field end
  end
  return grown
end

local function write_grown(grown)
  local lines = { integer(grown.length) }
  for _, fields in ipairs({ grown.sets, grown.appends }) do
    for name, it in pairs(fields) do
      lines[#lines + 1] = table.concat({ it.op, name, integer(it.items), integer(it.bytes), it.based }, ' ')
    end
  end
  return #lines > 1 and table.concat(lines, '\n') or ''
end

-- The log of a content that has grown; nil where it was lost.
local function read_log(growth_key, grown)
  local log = redis.pcall('GET', growth_key) or ''
  if type(log) ~= 'string' or #log ~= grown.length then return nil end
  return log
end

-- The log without the records of these fields.
local function without(log, dropped)
  local kept = {}
  each_record(log, function(op, name, _, _, text)
    if op == 'b' or not dropped[name] then kept[#kept + 1] = text end
  end)
  return table.concat(kept)
end

-- The values that deltas have set, as records.
local function set_records(content_key, grown)
  local records = {}
  for name in pairs(grown.sets) do
    records[#records + 1] = record('s', name, 0, redis.call('HGET', content_key, '=' .. name) or 'null')
  end
  return table.concat(records)
end

-- What a whole event leaves of what has grown: the fields that deltas have appended to and that it does not name, in the
-- same attempt. Nothing where the event does not say what it names. Returns how it has grown then, and its log.
local function keep_grown(content_key, growth_key, stored, event)
  local left = { length = 0, sets = {}, appends = {} }
  if stored.grown == '' or not event.names or event.attempt ~= stored.attempt then return left end
  local grown = read_grown(stored.grown)
  local log = read_log(growth_key, grown)
  if not log then return left end
  local dropped, drops, based = {}, false, {}
  local unbased = false
  for name, field in pairs(grown.appends) do
    if string.find(event.names, ' ' .. name .. ' ', 1, true) then
      dropped[name], drops = true, true
    else
      left.appends[name] = { op = field.op, items = field.items, bytes = field.bytes, based = '1' }
      if field.based ~= '1' then
        if grown.sets[name] then
          based[#based + 1] = record('v', name, 0, redis.call('HGET', content_key, '=' .. name) or 'null')
        else
          unbased = true
        end
      end
    end
  end
  if next(left.appends) == nil then return left end
  if drops then log = without(log, dropped) end
  if unbased then based[#based + 1] = record('b', '-', 0, redis.call('HGET', content_key, 'data') or '') end
  log = log .. table.concat(based)
  left.length = #log
  return left, log
end

-- Stores and announces an event that the fence has accepted. `stored` is the content before it, or nil. Returns the
-- offset, or nil and a reason.
local function store(clk, shared, keys, stored, event)
  local content_key, channel_key, counts_key, growth_key = keys[1], keys[2], keys[3], keys[4]
  local prev = latest(channel_key)
  if not prev then return nil, 'occupied' end
  local left, log
  if stored and stored.grown ~= '' then left, log = keep_grown(content_key, growth_key, stored, event) end
  local size = #event.data + (log and #log or 0) - (stored and stored.size or 0)
  local limits = shared.limits
  local ending = stored and event.closed == '1'
  if not ending and clk.bytes + size > limits.bytes then return nil, 'quota_exceeded' end
  -- What the channel's key holds does not tell whether there is such a channel: other programs write, too.
  local new = false
  if not stored then
    local counts = redis.pcall('HMGET', counts_key, unpack(PHASES))
    if counts.err then return nil, 'occupied' end
    local held = sum(counts)
    if clk.contents >= limits.contents or held >= limits.channel then return nil, 'quota_exceeded' end
    new = held == 0 and not redis.call('ZSCORE', shared.index, event.channel)
  end
  if not touch(clk, counts_key) then return nil, 'occupied' end

  local offset = advance(clk, prev)
  redis.call('HSET', content_key, 'channel', event.channel, 'attempt', event.attempt, 'run', event.run,
    'runs', event.runs, 'began', event.began, 'seq', event.seq, 'seq_offset', event.seq_offset or offset,
    'phase', event.phase, 'closed', event.closed, 'offset', offset, 'type', event.type, 'data', event.data,
    'lease', event.lease and tostring(event.lease) or '')
  if left then
    for name in pairs(read_grown(stored.grown).sets) do redis.call('HDEL', content_key, '=' .. name) end
    if log then
      redis.call('SET', growth_key, log)
      redis.call('HSET', content_key, 'grown', write_grown(left))
    else
      redis.call('HDEL', content_key, 'grown')
      -- Its key may be undeclared; a log that is left is overwritten.
      redis.pcall('DEL', growth_key)
    end
  end
  redis.call('ZADD', channel_key, offset, event.id)
  redis.call('ZADD', shared.ends, integer(clk.ms + shared.retention), event.id)
  enter(shared, event.channel, counts_key, offset, stored and stored.phase, event.phase)
  if event.lease then
    redis.call('ZADD', shared.leases, integer(lease_time(clk) + event.lease * 1000), event.id)
  elseif stored and stored.lease ~= '' then
    redis.call('ZREM', shared.leases, event.id)
  end
  if not stored then
    clk.contents = clk.contents + 1
    if new then
      redis.call('ZADD', shared.names, 0, event.channel)
      if clk.floor > 0 then redis.call('ZADD', channel_key, 'GT', integer(clk.floor), FLOOR) end
    end
    if event.returns then
      redis.call('HDEL', content_key, 'removed', 'from', 'gone')
      if redis.call('ZREM', channel_key, TOMB .. event.id) == 1 then
        redis.call('ZREM', shared.ends, TOMB .. event.channel .. '\t' .. event.id)
      end
    end
  end
  clk.bytes = clk.bytes + size
  if stored and stored.cancel ~= '' then
    if event.closed == '1' or event.attempt ~= stored.attempt then
      redis.call('HDEL', content_key, 'cancel', 'cancel_at')
      event.cancel = nil
    end
  end
  announce(clk, event.channel, offset, prev, event.id, event.type, event.data, event.cancel, nil, log)
  return offset
end

-- Takes a delta into `grown`. Returns the records for the log, those of the fields that begin anew, and the values that it
-- sets; or nil where it exceeds the limits.
local function grow_by(grown, delta)
  local log, dropped, values, items, bytes, sets, appends = {}, {}, {}, 0, 0, 0, 0
  each_record(delta, function(op, name, count, payload, text)
    local field = grown.appends[name]
    if op == 's' then
      grown.sets[name] = { op = op, items = 0, bytes = #payload, based = '0' }
      values[#values + 1] = '=' .. name
      values[#values + 1] = payload
      if field then dropped[name], grown.appends[name] = true, nil end
      return
    end
    if not field or field.op ~= op then
      if field then
        dropped[name] = true
        log[#log + 1] = record('v', name, 0, 'null')
      end
      field = { op = op, items = 0, bytes = 0, based = field and '1' or '0' }
      grown.appends[name] = field
    end
    field.items, field.bytes = field.items + count, field.bytes + #payload
    log[#log + 1] = text
  end)
  for name, field in pairs(grown.sets) do bytes, sets = bytes + field.bytes, sets + (FILLED_FIELDS[name] and 0 or 1) end
  for _, field in pairs(grown.appends) do
    bytes, items, appends = bytes + field.bytes, math.max(items, field.items), appends + 1
  end
  local many = appends > GROWN_FIELDS or sets > GROWN_FIELDS
  if many or bytes > GROWN_BYTES or items > GROWN_ITEMS then return nil end
  return table.concat(log), dropped, values
end

local function set_bytes(grown)
  local bytes = 0
  for _, field in pairs(grown.sets) do bytes = bytes + field.bytes end
  return bytes
end

-- Stores and announces a delta that the fence has accepted: what it costs does not depend on what the content holds.
-- Returns the offset, or nil and a reason.
local function grow(clk, shared, keys, stored, event)
  local content_key, channel_key, counts_key, growth_key = keys[1], keys[2], keys[3], keys[4]
  local prev = latest(channel_key)
  local length = redis.pcall('STRLEN', growth_key)
  if not prev or type(length) ~= 'number' then return nil, 'occupied' end
  local grown = read_grown(stored.grown)
  if stored.grown == '' then length = 0 end
  if length ~= grown.length then return nil, 'gap' end
  local before = set_bytes(grown)
  local addition, dropped, values = grow_by(grown, event.data)
  if not addition then return nil, 'too_large' end
  local log
  if next(dropped) ~= nil then log = without(redis.call('GET', growth_key) or '', dropped) .. addition end
  grown.length = log and #log or length + #addition
  local size = grown.length - length + set_bytes(grown) - before
  if clk.bytes + size > shared.limits.bytes then return nil, 'quota_exceeded' end
  if not touch(clk, counts_key) then return nil, 'occupied' end

  local offset = advance(clk, prev)
  redis.call('HSET', content_key, 'began', event.began, 'seq', event.seq, 'seq_offset', offset, 'offset', offset,
    'lease', event.lease and tostring(event.lease) or '', 'grown', write_grown(grown), unpack(values))
  if log or stored.grown == '' then
    redis.call('SET', growth_key, log or addition)
  elseif addition ~= '' then
    redis.call('APPEND', growth_key, addition)
  end
  redis.call('ZADD', channel_key, offset, event.id)
  redis.call('ZADD', shared.ends, integer(clk.ms + shared.retention), event.id)
  enter(shared, event.channel, counts_key, offset)
  if event.lease then
    redis.call('ZADD', shared.leases, integer(lease_time(clk) + event.lease * 1000), event.id)
  elseif stored.lease ~= '' then
    redis.call('ZREM', shared.leases, event.id)
  end
  clk.bytes = clk.bytes + size
  announce(clk, event.channel, offset, prev, event.id, event.type, event.data, nil, stored.offset)
  return offset
end

local FENCE = { 'channel', 'attempt', 'run', 'runs', 'began', 'seq', 'seq_offset', 'phase', 'closed', 'offset', 'lease',
  'removed', 'gone', 'cancel', 'grown' }

-- A stored content; nil for an unknown one, whether it was removed, and what is kept of one that was removed on request;
-- or false where its key holds something else.
local function read(key)
  local values = redis.pcall('HMGET', key, unpack(FENCE))
  if values.err then return false end
  local stored = {}
  for i, name in ipairs(FENCE) do stored[name] = values[i] or '' end
  if not values[1] then return nil, values[12], values[13] and stored end
  stored.size = redis.call('HSTRLEN', key, 'data')
  if stored.grown ~= '' then
    local grown = read_grown(stored.grown)
    stored.size = stored.size + grown.length + set_bytes(grown)
  end
  return stored
end

local function is_former(runs, run)
  return string.find(' ' .. runs .. ' ', ' ' .. run .. ' ', 1, true) ~= nil
end

local function with_former(runs, run)
  if run == '' then return runs end
  local kept, names = {}, run .. ' ' .. runs
  for name in string.gmatch(names, '%S+') do
    if #kept < FORMER_RUNS then kept[#kept + 1] = name end
  end
  return table.concat(kept, ' ')
end

local function open_attempt(stored, event, attempt, began)
  event.attempt, event.began = integer(attempt), integer(began)
  event.runs = stored and with_former(stored.runs, stored.run) or ''
end

-- The fence of a content that was removed on request, with the rules of contract.py. Returns an offset, or nil and the
-- reason.
local function publish_removed(clk, shared, keys, gone, event, attempt, seq, began)
  local open, moment = tonumber(gone.attempt), tonumber(gone.gone)
  local old
  if event.run ~= '' then
    local former = event.run == gone.run or is_former(gone.runs, event.run)
    local later = began > moment or event.restart and not former and began == moment
    old = not later or former and not event.restart
  elseif attempt then
    old = attempt <= open
  else
    local open_seq = tonumber(gone.seq)
    old = seq and open_seq and seq <= open_seq
  end
  if old then return nil, 'removed' end
  if event.delta then return nil, 'unknown' end
  open_attempt(nil, event, attempt or open + 1, began)
  local runs = {}
  for name in string.gmatch(gone.run .. ' ' .. gone.runs, '%S+') do
    if name ~= event.run and #runs < FORMER_RUNS then runs[#runs + 1] = name end
  end
  event.runs = table.concat(runs, ' ')
  return store(clk, shared, keys, nil, event)
end

-- The fence, with the rules of contract.py in their order. Returns an offset, or nil and the reason.
local function publish(clk, shared, keys, event)
  local stored, removed, gone = read(keys[1])
  if stored == false then return nil, 'occupied' end
  event.returns = removed
  local attempt, seq = tonumber(event.attempt), tonumber(event.seq)
  local began = clk.now - event.age
  event.seq = seq and integer(seq) or ''
  if gone then return publish_removed(clk, shared, keys, gone, event, attempt, seq, began) end
  if not stored then
    if event.delta then return nil, 'unknown' end
    open_attempt(nil, event, attempt or 1, began)
    return store(clk, shared, keys, nil, event)
  end
  if stored.channel ~= event.channel then
    event.there = stored.channel
    return nil, 'wrong_channel'
  end

  local open = tonumber(stored.attempt)
  local opens
  if event.run ~= '' and event.run ~= stored.run then
    -- A restart that comes in the millisecond in which the content's run began comes after it.
    local first = tonumber(stored.began) or 0
    local later = began > first or event.restart and began == first
    if is_former(stored.runs, event.run) or not later then return nil, 'superseded' end
    opens = open + 1
  elseif event.run == '' and attempt and attempt < open then
    return nil, 'superseded'
  elseif event.run == '' and attempt and attempt > open then
    opens = attempt
  end
  if opens then
    if event.delta then
      event.there = stored.seq
      return nil, 'gap'
    end
    open_attempt(stored, event, opens, began)
    return store(clk, shared, keys, stored, event)
  end

  local open_seq = tonumber(stored.seq)
  event.attempt = stored.attempt
  event.cancel = stored.cancel ~= '' and stored.cancel or nil
  if seq and open_seq then
    if seq == open_seq then return stored.seq_offset end
    if seq < open_seq then return nil, 'superseded' end
  end
  if stored.closed == '1' then
    if not event.restart or event.run == '' then return nil, 'closed' end
    event.attempt = integer(open + 1)
  end
  event.began = event.run == '' and stored.began or integer(math.min(tonumber(stored.began) or began, began))
  event.run, event.runs = stored.run, stored.runs
  if event.delta then
    event.there = stored.seq
    if stored.phase ~= 'processing' or event.follows ~= open_seq then return nil, 'gap' end
    return grow(clk, shared, keys, stored, event)
  end
  if not seq then
    event.seq, event.seq_offset = stored.seq, stored.seq_offset
  end
  return store(clk, shared, keys, stored, event)
end

local function shared_state(clk, keys, settings)
  local known = {}
  for i, name in ipairs(SETTINGS) do
    local said, held = settings[i] or '', clk.settings[i] or ''
    if said ~= '' and said ~= held then redis.call('HSET', clk.key, name, said) end
    known[name] = tonumber(said ~= '' and said or held)
  end
  return {
    leases = keys[2], ends = keys[3], index = keys[4], names = keys[5], moved = {},
    retention = known.retention or DEFAULT_RETENTION_MS, default_lease = known.default_lease,
    limits = {
      contents = known.max_contents or LARGEST, bytes = known.max_bytes or LARGEST,
      channel = known.max_channel_contents or LARGEST,
    },
  }
end

local function save(clk, shared)
  for i = 1, #shared.moved, MOVES do
    redis.call('ZADD', shared.index, unpack(shared.moved, i, math.min(i + MOVES - 1, #shared.moved)))
  end
  redis.call('HSET', clk.key, 'offset', integer(clk.offset), 'now', integer(clk.now),
    'contents', integer(math.max(clk.contents, 0)), 'bytes', integer(math.max(clk.bytes, 0)))
end

-- A token bucket holds a second's worth. A call passes whole where anything is left, and its excess is owed. Returns
-- nothing, or the milliseconds until the bucket has something and the name of the rate.
local function exceeded(clk, key, args)
  -- Those that are forgotten are full again.
  if redis.call('HLEN', key) > MAX_PUBLISHERS then redis.call('DEL', key) end
  redis.call('HSETNX', key, '', '')
  local sub, rates, costs = args[6], { tonumber(args[7]), tonumber(args[8]) }, { tonumber(args[9]), tonumber(args[10]) }
  if sub == '' then return end
  local events, bytes, at = string.match(redis.call('HGET', key, sub) or '', '^(%S+) (%S+) (%S+)$')
  local passed = math.max(clk.now - (tonumber(at) or 0), 0) / 1000
  local left = { tonumber(events) or rates[1], tonumber(bytes) or rates[2] }
  for i = 1, 2 do
    left[i] = math.min(rates[i], left[i] + passed * rates[i])
    if left[i] <= 0 then return math.ceil(-left[i] / rates[i] * 1000) + 1, i == 1 and 'events' or 'bytes' end
  end
  redis.call('HSET', key, sub, string.format('%.3f %.3f %.0f', left[1] - costs[1], left[2] - costs[2], clk.now))
end

-- How many keys each of so many contents has. Callers of earlier minor versions declare no key of growth, which is then
-- named here; upgrade them before anything grows. Nil where it is neither.
local function keys_each(keys, before, contents)
  local each = (#keys - before) / math.max(contents, 1)
  if contents == 0 or each == KEYS_EACH or each == KEYS_EACH - 1 then return each end
end

-- The keys of a content: <content> <channel> <counts> <growth>.
local function content_keys(clk, keys, before, each, n, id)
  local k = before + n * each
  return { keys[k + 1], keys[k + 2], keys[k + 3], each == KEYS_EACH and keys[k + 4] or clk.prefix .. ':growth:' .. id }
end

-- Whether these are the records of a delta, of which each has a field of its own.
local function is_delta(text)
  local known, seen = true, {}
  local sound = each_record(text, function(op, name)
    known = known and not seen[name] and (op == 's' or op == 't' or op == 'l')
    seen[name] = true
  end)
  return sound and known and text ~= ''
end

-- FCALL statushub5_publish <number of keys> <clock> <leases> <ends> <index> <names> <rates>
--     then for each event: <content> <channel> <counts> <growth>
--   retention in ms, default lease in s, most contents, most bytes, most contents of a channel (hubs; else '', which
--     takes what hubs have written), sub, its events a second, its bytes a second, and the events and bytes to count
--     (each or '')
--   then for each event: channel, id, type, phase, attempt, seq, lease in s, run, age in ms (each or ''),
--     'restart' or '', of a delta the seq that it follows, and of a whole event the names of its fields with spaces
--     between (those that a delta could have), data, which of a delta are its records
-- Returns for each event 1, cursor, attempt; or 2, cursor, attempt and after a tab the request as JSON, where it is accepted and the attempt is to be cancelled; or 0, reason, the
-- content's channel or last seq where that is the reason, else ''; or -1, ms, 'events' or 'bytes' where a rate is exceeded.
local function publish_all(keys, args)
  local events = (#args - ARGS_BEFORE) / ARGS_EACH
  local each = keys_each(keys, KEYS_BEFORE, events)
  if events < 1 or events % 1 ~= 0 or not each then
    return redis.error_reply('ERR statushub5_publish takes 6 keys and 10 arguments, and 4 keys and 12 arguments an event')
  end
  for i = ARGS_BEFORE + 1, #args, ARGS_EACH do
    -- Each is part of a line of an announcement and of a stream, or of a list.
    if string.find(args[i] .. args[i + 1] .. args[i + 2], '%c') or string.find(args[i + 7], '[%c%s]') then
      return redis.error_reply('ERR statushub5_publish takes no control characters in channel, content id, type and run')
    end
    local phase = args[i + 3]
    if phase ~= 'idle' and phase ~= 'pending' and phase ~= 'processing' and phase ~= 'completed' and phase ~= 'failed' then
      return redis.error_reply('ERR statushub5_publish takes a phase: idle, pending, processing, completed or failed')
    end
    if args[i + 2] == DELTA then
      local sound = phase == 'processing' and tonumber(args[i + 10]) and tonumber(args[i + 5]) and args[i + 9] == ''
      if not sound or each < KEYS_EACH or not is_delta(args[i + 11]) then
        return redis.error_reply('ERR statushub5_publish takes a delta as records, with a seq, the seq that it follows, the phase processing and its key of growth')
      end
    end
  end
  local clk = clock(keys[1])
  local wait, rate = exceeded(clk, keys[6], args)
  if wait then return { -1, wait, rate } end
  local shared = shared_state(clk, keys, args)
  redis.call('ZADD', shared.leases, '+inf', TOMB)
  local answer = {}
  for n = 0, events - 1 do
    local a = ARGS_BEFORE + n * ARGS_EACH
    local there = content_keys(clk, keys, KEYS_BEFORE, each, n, args[a + 2])
    local phase = args[a + 4]
    local closed = phase == 'completed' or phase == 'failed'
    local lease = tonumber(args[a + 7]) or shared.default_lease
    local event = {
      channel = args[a + 1], id = args[a + 2], type = args[a + 3], phase = phase, closed = closed and '1' or '0',
      attempt = args[a + 5], seq = args[a + 6], lease = phase == 'processing' and lease and lease > 0 and lease or nil,
      run = args[a + 8], age = tonumber(args[a + 9]) or 0, restart = args[a + 10] == 'restart', data = args[a + 12],
      delta = args[a + 3] == DELTA, follows = tonumber(args[a + 11]),
      names = args[a + 11] ~= '' and ' ' .. args[a + 11] .. ' ' or nil,
    }
    if redis.pcall('PTTL', there[2]) ~= -1 then
      take_over(clk, shared, event.channel, there[2], there[3])
    end
    local offset, reason = publish(clk, shared, there, event)
    answer[#answer + 1] = offset and (event.cancel and 2 or 1) or 0
    answer[#answer + 1] = offset and clk.epoch .. '-' .. offset or reason
    answer[#answer + 1] = offset and event.attempt .. (event.cancel and '\t' .. event.cancel or '') or event.there or ''
  end
  save(clk, shared)
  return answer
end

-- FCALL statushub5_ids 2 <clock> <channel> <since epoch> <since offset> <limit> <'whole' or ''>
-- Returns epoch, the clock's offset, the channel's floor, 1 if more follow else 0, then content id (or "\1" and the id
-- of a removed one), offset of each after `since`. All of the channel where `since` is of another epoch or, unless a
-- whole channel is read in pages, below the floor.
local function ids(keys, args)
  local clk = clock(keys[1])
  local since, limit = tonumber(args[2]), tonumber(args[3])
  local floor = tonumber(redis.call('ZSCORE', keys[2], FLOOR) or redis.call('EXISTS', keys[2]) == 0 and clk.floor or 0)
  if args[1] ~= clk.epoch or args[4] ~= 'whole' and since < floor then since = 0 end
  local found = redis.call('ZRANGE', keys[2], '(' .. integer(since), LARGEST_SCORE, 'BYSCORE', 'LIMIT', 0, limit,
    'WITHSCORES')
  local answer = { clk.epoch, integer(clk.offset), integer(floor), #found == limit * 2 and 1 or 0 }
  for i = 1, #found, 2 do
    answer[#answer + 1] = found[i]
    answer[#answer + 1] = integer(tonumber(found[i + 1]))
  end
  return answer
end

-- FCALL statushub5_states <number of keys> <clock> then each <content> then each <growth>
--   how many contents (a hub of an earlier minor version names no growth, and does not say)
-- Returns epoch, the clock's offset, then of each content: channel, offset, type, data, where there is one the request to
-- cancel, else '', and the records that are composed with the data; channel and offset of its tombstone;
-- false where it is unknown; or '' where its key holds something else.
local function states(keys, args)
  local clk = clock(keys[1])
  local answer = { clk.epoch, integer(clk.offset) }
  local contents = tonumber(args[1])
  for i = 2, (contents or #keys - 1) + 1 do
    local stored = redis.pcall('HMGET', keys[i], 'channel', 'offset', 'type', 'data', 'removed', 'from', 'cancel', 'grown')
    if stored.err then
      answer[#answer + 1] = ''
    elseif stored[1] and string.find(stored[2] or '', '^%d+$') and stored[3] and stored[4] then
      local row = { stored[1], stored[2], stored[3], stored[4], stored[7] or nil }
      if contents and stored[8] then
        local grown = read_grown(stored[8])
        row[5], row[6] = row[5] or '', (read_log(keys[i + contents], grown) or '') .. set_records(keys[i], grown)
      end
      answer[#answer + 1] = row
    elseif stored[1] then
      answer[#answer + 1] = ''
    else
      answer[#answer + 1] = stored[5] and stored[6] and { stored[6], stored[5] } or false
    end
  end
  return answer
end

-- FCALL statushub5_offsets <number of keys> <clock> then each <channel>
-- Returns epoch, the clock's offset, the floor of empty channels, then of each channel the offset of its latest event,
-- 0 where it is empty, or -1 where its key holds something else.
local function offsets(keys)
  local clk = clock(keys[1])
  local answer = { clk.epoch, integer(clk.offset), integer(clk.floor) }
  for i = 2, #keys do answer[#answer + 1] = integer(latest(keys[i]) or -1) end
  return answer
end

-- FCALL statushub5_follow 1 <clock>
--   how long all announcements of the tenant are also made on its own pub/sub channel, in ms
-- Returns epoch, the clock's offset, the floor of empty channels.
local function follow(keys, args)
  local clk = clock(keys[1])
  redis.call('HSET', clk.key, 'followed', integer(clk.ms + args[1]))
  return { clk.epoch, integer(clk.offset), integer(clk.floor) }
end

-- FCALL statushub5_channels 3 <clock> <index> <names>
--   'name' or '', two bounds, limit
-- Returns epoch, the clock's offset, then name, offset of each channel between the bounds: by name, where they are
-- lexical, else the latest first. The offset of one that is not in the index is 0.
local function channels(keys, args)
  local clk = clock(keys[1])
  local answer = { clk.epoch, integer(clk.offset) }
  if args[1] ~= 'name' then
    local found = redis.call('ZRANGE', keys[2], args[2], args[3], 'BYSCORE', 'REV', 'LIMIT', 0, args[4], 'WITHSCORES')
    for i = 1, #found, 2 do
      answer[#answer + 1] = found[i]
      answer[#answer + 1] = integer(tonumber(found[i + 1]))
    end
    return answer
  end
  local names = redis.call('ZRANGE', keys[3], args[2], args[3], 'BYLEX', 'LIMIT', 0, args[4])
  local known = #names > 0 and redis.call('ZMSCORE', keys[2], unpack(names)) or {}
  for i = 1, #names do
    answer[#answer + 1] = names[i]
    answer[#answer + 1] = integer(tonumber(known[i] or 0))
  end
  return answer
end

-- FCALL statushub5_counts <number of keys> <clock> <index> then each <counts>
--   then for each its channel
-- Returns epoch, the clock's offset, then of each channel: its offset, when its latest event came in ms or 0, and its
-- contents by phase; false where it is not in the index; or '' where the key of its counts holds something else.
local function counts(keys, args)
  local clk = clock(keys[1])
  local answer = { clk.epoch, integer(clk.offset) }
  local known = redis.call('ZMSCORE', keys[2], unpack(args))
  for i = 1, #args do
    local stored = redis.pcall('HMGET', keys[i + 2], 'updated', unpack(PHASES))
    if not known[i] then
      answer[#answer + 1] = false
    elseif stored.err then
      answer[#answer + 1] = ''
    else
      local entry = { integer(tonumber(known[i])) }
      for j = 1, #PHASES + 1 do entry[j + 1] = stored[j] or '0' end
      answer[#answer + 1] = entry
    end
  end
  return answer
end

-- FCALL statushub5_due 4 <clock> <leases> <ends> <cancels>
--   now in ms or '', limit, then the settings that hubs write
-- Sweeps: moves lease time on. Returns the ids of contents whose lease has run out, the members of ends whose retention
-- has, and the ids of contents that are to be cancelled by now.
local function due(keys, args)
  local clk = clock(keys[1])
  if args[1] ~= '' then clk.ms = tonumber(args[1]) end
  local swept = clk.swept or clk.ms
  if clk.ms < swept or clk.ms - swept > SWEEP_GAP_MS then
    clk.pause = clk.pause + clk.ms - swept
  end
  redis.call('HSET', clk.key, 'swept', integer(clk.ms), 'pause', integer(clk.pause))
  shared_state(clk, keys, { unpack(args, 3) })
  local overdue = redis.call('ZRANGE', keys[2], '-inf', '(' .. integer(clk.ms - clk.pause), 'BYSCORE',
    'LIMIT', 0, args[2])
  local ended = redis.call('ZRANGE', keys[3], '-inf', '(' .. integer(clk.ms), 'BYSCORE', 'LIMIT', 0, args[2])
  -- A hub of an earlier minor version does not name it.
  local cancelled = keys[4] and redis.call('ZRANGE', keys[4], '-inf', '(' .. integer(clk.ms - clk.pause), 'BYSCORE',
    'LIMIT', 0, args[2]) or {}
  return { overdue, ended, cancelled }
end

-- FCALL statushub5_stall <number of keys> <clock> <leases> <ends> <index> <names>
--     then for each content: <content> <channel> <counts> <growth>
--   retention in ms, now in ms or '', then for each content: channel, id, offset, type, data
-- Ends each content whose lease has run out, unless its offset has changed. Returns 1 for each that this call ended, else 0.
local function stall(keys, args)
  local clk = clock(keys[1])
  if args[2] ~= '' then clk.ms = tonumber(args[2]) end
  local shared = shared_state(clk, keys, { args[1] })
  local answer = {}
  local contents = (#args - 2) / 5
  local each = keys_each(keys, 5, contents)
  for n = 0, contents - 1 do
    local a = 2 + n * 5
    local there = content_keys(clk, keys, 5, each, n, args[a + 2])
    local stored = read(there[1])
    local ended = 0
    local deadline = tonumber(redis.call('ZSCORE', shared.leases, args[a + 2]) or LARGEST)
    if stored and deadline < clk.ms - clk.pause and stored.channel == args[a + 1] and stored.offset == args[a + 3] and stored.lease ~= '' then
      local event = {
        channel = stored.channel, id = args[a + 2], type = args[a + 4], phase = 'failed', closed = '1',
        attempt = stored.attempt, run = stored.run, runs = stored.runs, began = stored.began, seq = stored.seq,
        seq_offset = stored.seq_offset, data = args[a + 5],
      }
      if store(clk, shared, there, stored, event) then ended = 1 end
    elseif not stored then
      redis.call('ZREM', shared.leases, args[a + 2])
    end
    answer[#answer + 1] = ended
  end
  save(clk, shared)
  return answer
end

-- Puts a tombstone in a content's place, and announces it. Returns its offset.
local function bury(clk, shared, keys, stored, prev, channel, id, type, data)
  local offset = advance(clk, prev)
  redis.call('DEL', keys[1])
  if stored.grown ~= '' then redis.pcall('DEL', keys[4]) end
  redis.call('HSET', keys[1], 'removed', offset, 'from', channel)
  redis.call('ZREM', keys[2], id)
  redis.call('ZADD', keys[2], offset, TOMB .. id)
  redis.call('ZREM', shared.ends, id)
  redis.call('ZADD', shared.ends, integer(clk.ms + TOMBSTONE_MS), TOMB .. channel .. '\t' .. id)
  redis.call('ZREM', shared.leases, id)
  enter(shared, channel, keys[3], offset, stored.phase)
  clk.contents, clk.bytes = clk.contents - 1, clk.bytes - stored.size
  announce(clk, channel, offset, prev, id, type, data)
  return offset
end

-- FCALL statushub5_remove <number of keys> <clock> <leases> <ends> <index> <names>
--     then for each content: <content> <channel> <counts> <growth>
--   now in ms or '', type of the tombstone, then for each content: channel, id, offset, data of the tombstone
-- Removes each content whose retention has ended, unless its offset has changed, and announces its tombstone. Returns 1
-- for each that this call removed, else 0.
local function remove(keys, args)
  local clk = clock(keys[1])
  if args[1] ~= '' then clk.ms = tonumber(args[1]) end
  local shared = shared_state(clk, keys, {})
  local answer = {}
  local contents = (#args - 2) / 4
  local each = keys_each(keys, 5, contents)
  for n = 0, contents - 1 do
    local a = 2 + n * 4
    local channel, id = args[a + 1], args[a + 2]
    local there = content_keys(clk, keys, 5, each, n, id)
    local stored = read(there[1])
    local prev = latest(there[2])
    local ends = tonumber(redis.call('ZSCORE', shared.ends, id) or LARGEST)
    if stored and prev and ends < clk.ms and stored.channel == channel and stored.offset == args[a + 3]
        and touch(clk, there[3]) then
      bury(clk, shared, there, stored, prev, channel, id, args[2], args[a + 4])
      answer[#answer + 1] = 1
    else
      if not stored and ends < clk.ms then redis.call('ZREM', shared.ends, id) end
      answer[#answer + 1] = 0
    end
  end
  save(clk, shared)
  return answer
end

-- FCALL statushub5_forget <number of keys> <clock> <leases> <ends> <index> <names>
--     then for each tombstone: <content> <channel> <counts>
--   now in ms or '', then for each tombstone: channel, id
-- Forgets the tombstones that are old enough, and raises the floors.
local function forget(keys, args)
  local clk = clock(keys[1])
  if args[1] ~= '' then clk.ms = tonumber(args[1]) end
  for n = 0, (#keys - 5) / 3 - 1 do
    local k, a = 5 + n * 3, 1 + n * 2
    local channel, id = args[a + 1], args[a + 2]
    local channel_key, member = keys[k + 2], TOMB .. channel .. '\t' .. id
    local ends = tonumber(redis.call('ZSCORE', keys[3], member) or LARGEST)
    local offset = ends < clk.ms and redis.call('ZSCORE', channel_key, TOMB .. id)
    if ends < clk.ms then redis.call('ZREM', keys[3], member) end
    if offset then
      redis.call('ZREM', channel_key, TOMB .. id)
      redis.call('ZADD', channel_key, 'GT', offset, FLOOR)
      if redis.call('HGET', keys[k + 1], 'removed') == integer(tonumber(offset)) then redis.call('DEL', keys[k + 1]) end
      if redis.call('ZCARD', channel_key) == 1 then
        clk.floor = math.max(clk.floor, tonumber(redis.call('ZSCORE', channel_key, FLOOR)))
        redis.call('DEL', channel_key, keys[k + 3])
        redis.call('ZREM', keys[4], channel)
        redis.call('ZREM', keys[5], channel)
      end
    end
  end
  redis.call('HSET', clk.key, 'floor', integer(clk.floor))
  return redis.status_reply('OK')
end

-- FCALL statushub5_erase <number of keys> <clock> <leases> <ends> <index> <names>
--     then for each content: <content> <channel> <counts> <growth>
--   the channel, type of the tombstone, then for each content: id, data of the tombstone
-- Removes each content that lives in the channel, and keeps what refuses events of its former runs. Returns epoch, the
-- clock's offset, then for each content the offset of its tombstone, or 0 where it is unknown there.
local function erase(keys, args)
  local clk = clock(keys[1])
  local shared = shared_state(clk, keys, {})
  local channel, answer = args[1], { clk.epoch, '0' }
  local contents = (#args - 2) / 2
  local each = keys_each(keys, 5, contents)
  for n = 0, contents - 1 do
    local a = 2 + n * 2
    local there = content_keys(clk, keys, 5, each, n, args[a + 1])
    local stored = read(there[1])
    local prev = latest(there[2])
    local offset = '0'
    if stored and prev and stored.channel == channel and touch(clk, there[3]) then
      offset = bury(clk, shared, there, stored, prev, channel, args[a + 1], args[2], args[a + 2])
      redis.call('HSET', there[1], 'gone', integer(clk.now), 'attempt', stored.attempt, 'run', stored.run,
        'runs', stored.runs, 'seq', stored.seq)
    end
    answer[#answer + 1] = offset
  end
  save(clk, shared)
  answer[2] = integer(clk.offset)
  return answer
end

-- FCALL statushub5_cancel 7 <clock> <index> <cancels> <content> <channel> <counts> <growth>
--   the channel, content id, the request as JSON
-- Keeps a request to cancel the content's attempt, and announces it. Returns 1, cursor and the request that is in force, which
-- may be an earlier one; or 0 and 'unknown' or 'ended'.
local function cancel(keys, args)
  local clk = clock(keys[1])
  local channel, id, request = args[1], args[2], args[3]
  if string.find(request, '%c') then
    return redis.error_reply('ERR statushub5_cancel takes no control characters in the request')
  end
  local shared = { index = keys[2], moved = {} }
  local stored, prev = read(keys[4]), latest(keys[5])
  if not stored or not prev or stored.channel ~= channel then return { 0, 'unknown' } end
  if stored.closed == '1' then return { 0, 'ended' } end
  if stored.cancel ~= '' then return { 1, clk.epoch .. '-' .. redis.call('HGET', keys[4], 'cancel_at'), stored.cancel } end
  if not touch(clk, keys[6]) then return { 0, 'unknown' } end
  local event = redis.call('HMGET', keys[4], 'type', 'data')
  local lease = math.min(tonumber(stored.lease) or CANCEL_LEASE, CANCEL_LEASE)
  local offset = advance(clk, prev)
  redis.call('HSET', keys[4], 'offset', offset, 'cancel', request, 'cancel_at', offset)
  redis.call('ZADD', keys[5], offset, id)
  enter(shared, channel, keys[6], offset)
  redis.call('ZADD', keys[3], integer(lease_time(clk) + (lease + CANCEL_GRACE) * 1000), id)
  local log
  if stored.grown ~= '' then
    local grown = read_grown(stored.grown)
    log = (read_log(keys[7] or clk.prefix .. ':growth:' .. id, grown) or '') .. set_records(keys[4], grown)
  end
  announce(clk, channel, offset, prev, id, event[1], event[2], request, nil, log)
  save(clk, shared)
  return { 1, clk.epoch .. '-' .. offset, request }
end

-- FCALL statushub5_cancels 2 <clock> <cancels> <limit>
-- Returns epoch, the clock's offset, then content ids that may have a request to cancel, the latest deadlines first.
local function cancels(keys, args)
  local clk = clock(keys[1])
  return { clk.epoch, integer(clk.offset), unpack(redis.call('ZRANGE', keys[2], 0, tonumber(args[1]) - 1, 'REV')) }
end

-- FCALL statushub5_requests <number of keys> then each <content>
-- Returns of each content channel, attempt, cancel_at and the request; or false where there is none.
local function requests(keys)
  local answer = {}
  for i = 1, #keys do
    local stored = redis.pcall('HMGET', keys[i], 'channel', 'attempt', 'cancel_at', 'cancel')
    answer[i] = not stored.err and stored[1] and stored[4] and stored or false
  end
  return answer
end

-- FCALL statushub5_stop <number of keys> <clock> <leases> <ends> <index> <names> <cancels>
--     then for each content: <content> <channel> <counts> <growth>
--   retention in ms, now in ms or '', then for each content: channel, id, type, data
-- Ends each content that is to be cancelled by now. Returns 1 for each that this call ended, else 0.
local function stop(keys, args)
  local clk = clock(keys[1])
  if args[2] ~= '' then clk.ms = tonumber(args[2]) end
  local shared = shared_state(clk, keys, { args[1] })
  local answer = {}
  local contents = (#args - 2) / 4
  local each = keys_each(keys, 6, contents)
  for n = 0, contents - 1 do
    local a = 2 + n * 4
    local id = args[a + 2]
    local there = content_keys(clk, keys, 6, each, n, id)
    local stored = read(there[1])
    local ended = 0
    if stored and stored.cancel ~= '' then
      local deadline = tonumber(redis.call('ZSCORE', keys[6], id) or LARGEST)
      if deadline < clk.ms - clk.pause and stored.channel == args[a + 1] then
        local event = {
          channel = stored.channel, id = id, type = args[a + 3], phase = 'failed', closed = '1',
          attempt = stored.attempt, run = stored.run, runs = stored.runs, began = stored.began, seq = stored.seq,
          seq_offset = stored.seq_offset, data = args[a + 4],
        }
        if store(clk, shared, there, stored, event) then ended = 1 end
        redis.call('ZREM', keys[6], id)
      end
    else
      redis.call('ZREM', keys[6], id)
    end
    answer[#answer + 1] = ended
  end
  save(clk, shared)
  return answer
end

-- The former version's call, for producers that have not been upgraded: FCALL statushub_publish 1 <prefix>
--   retention in ms or '', then for each event: channel, id, type, '1' if terminal else '0', attempt, seq, lease, data
local function publish_formerly(keys, args)
  local prefix = keys[1]
  local new_keys, new_args = {}, { args[1], '', '', '', '', '', '', '', '', '' }
  for _, name in ipairs({ ':clock', ':leases', ':ends', ':index', ':names', ':rates' }) do
    new_keys[#new_keys + 1] = prefix .. name
  end
  for i = 2, #args - 7, 8 do
    local failed = args[i + 2] == 'processing_error'
    local phase = args[i + 3] ~= '1' and 'processing' or failed and 'failed' or 'completed'
    for _, name in ipairs({ ':content:' .. args[i + 1], ':channel:' .. args[i], ':counts:' .. args[i] }) do
      new_keys[#new_keys + 1] = prefix .. name
    end
    for _, value in ipairs({ args[i], args[i + 1], args[i + 2], phase, args[i + 4], args[i + 5],
      args[i + 6], '', '', '', '', args[i + 7] }) do
      new_args[#new_args + 1] = value
    end
  end
  local answer = publish_all(new_keys, new_args)
  if answer.err then return answer end
  local formerly = {}
  for i = 1, #answer, 3 do
    formerly[#formerly + 1] = math.min(answer[i], 1)
    formerly[#formerly + 1] = answer[i + 1]
  end
  return formerly
end

redis.register_function('statushub5_publish', publish_all)
-- Reads write little (a new epoch), so they are allowed on a server without memory.
redis.register_function{ function_name = 'statushub5_ids', callback = ids, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushub5_states', callback = states, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushub5_offsets', callback = offsets, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushub5_follow', callback = follow, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushub5_channels', callback = channels, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushub5_counts', callback = counts, flags = { 'allow-oom' } }
redis.register_function('statushub5_due', due)
redis.register_function('statushub5_stall', stall)
redis.register_function{ function_name = 'statushub5_remove', callback = remove, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushub5_forget', callback = forget, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushub5_erase', callback = erase, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushub5_cancel', callback = cancel, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushub5_cancels', callback = cancels, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushub5_requests', callback = requests, flags = { 'no-writes' } }
redis.register_function('statushub5_stop', stop)
redis.register_function{
  function_name = 'statushub5_version', callback = function() return MINOR end, flags = { 'no-writes' },
}
redis.register_function('statushub_publish', publish_formerly)
redis.register_function{ function_name = 'statushub_version', callback = function() return 5 end, flags = { 'no-writes' } }
