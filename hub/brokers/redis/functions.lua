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
--                                    and what hubs write for other publishers: retention, default_lease, max_contents,
--                                    max_bytes, max_channel_contents
--   <prefix>:leases           zset   content ids by deadline, in ms of lease time
--   <prefix>:ends             zset   content ids, and tombstones as "\1<channel>\t<id>", by the end of their retention
--   <prefix>:index            zset   channels by the offset of their latest event
--   <prefix>:names            zset   channels by name
--   <prefix>:rates            hash   token buckets of publishers, by sub
--   <prefix>:content:<id>     hash   channel, attempt, run, runs (former ones), began (the run, in ms), seq, seq_offset
--                                    (the offset of the event that brought seq), phase, closed, offset, type, data,
--                                    lease; of a removed content: removed (the offset of its tombstone) and from (its channel)
--   <prefix>:channel:<name>   zset   by offset: content ids, tombstones as "\1<id>", and the channel's floor as "\2"
--   <prefix>:counts:<name>    hash   contents by phase
--   <prefix>:events:<name>    sharded pub/sub channel of announcements
--
-- The floor is the offset of the latest tombstone that was forgotten: a cursor below it may have missed a removal. That
-- of a channel that is empty is kept in the clock, for all such channels together.

local MINOR = 1
local DEFAULT_RETENTION_MS = 7 * 24 * 3600 * 1000
local TOMBSTONE_MS = 24 * 3600 * 1000
local SWEEP_GAP_MS = 5000
local FORMER_RUNS = 8
local MAX_PUBLISHERS = 10000
local LARGEST = 2 ^ 53
local SECOND_US = 1000000
local LARGEST_SCORE = '9007199254740991'
local PHASES = { 'pending', 'processing', 'completed', 'failed', 'idle' }
local KEYS_BEFORE, KEYS_EACH = 6, 3
local ARGS_BEFORE, ARGS_EACH = 10, 12
local TOMB, FLOOR = '\1', '\2'

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
    'contents', 'bytes', unpack(SETTINGS))
  local time = redis.call('TIME')
  local us = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local ms = math.floor(us / 1000)
  local info = redis.call('INFO', 'replication')
  local replid, former = string.match(info, 'master_replid:(%w+)'), string.match(info, 'master_replid2:(%w+)')
  local clk = {
    key = key, prefix = string.sub(key, 1, -7), epoch = stored[1], offset = tonumber(stored[2]), ms = ms,
    now = math.max(ms, tonumber(stored[4]) or 0), swept = tonumber(stored[5]), pause = tonumber(stored[6]) or 0,
    floor = tonumber(stored[7]) or 0, contents = tonumber(stored[9]) or 0, bytes = tonumber(stored[10]) or 0,
    settings = { unpack(stored, 11, 10 + #SETTINGS) },
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

local function announce(clk, channel, offset, prev, id, type, data)
  redis.call('SPUBLISH', clk.prefix .. ':events:' .. channel,
    table.concat({ clk.epoch, offset, integer(prev), id, type }, '\t') .. '\n' .. data)
end

-- The offset of a channel's latest event, or nil where its key holds something else.
local function latest(channel_key)
  local last = redis.pcall('ZRANGE', channel_key, LARGEST_SCORE, 0, 'BYSCORE', 'REV', 'LIMIT', 0, 1, 'WITHSCORES')
  if last.err then return nil end
  return tonumber(last[2] or 0)
end

local function advance(clk, prev)
  clk.offset = math.max(clk.offset, prev) + 1
  return integer(clk.offset)
end

local function count(key, before, after)
  if before == after then return end
  if before then redis.call('HINCRBY', key, before, -1) end
  if after then redis.call('HINCRBY', key, after, 1) end
end

-- Data of the former version had TTLs, and neither phases nor counts. A channel of it is taken over with the first
-- publish into it; one that is never published into vanishes with its TTLs. The contents' keys are not declared here,
-- since they are found by reading.
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
  redis.call('PERSIST', channel_key)
  redis.call('ZADD', shared.names, 0, channel)
end

-- Stores and announces an event that the fence has accepted. `stored` is the content before it, or nil. Returns the
-- offset, or nil and a reason.
local function store(clk, shared, keys, stored, event)
  local content_key, channel_key, counts_key = keys[1], keys[2], keys[3]
  local prev = latest(channel_key)
  local counts = redis.pcall('HMGET', counts_key, unpack(PHASES))
  if not prev or counts.err then return nil, 'occupied' end
  local size = #event.data - (stored and stored.size or 0)
  local limits = shared.limits
  local ending = stored and event.closed == '1'
  if not ending and (clk.bytes + size > limits.bytes
      or not stored and (clk.contents >= limits.contents or sum(counts) >= limits.channel)) then
    return nil, 'quota_exceeded'
  end

  local offset = advance(clk, prev)
  redis.call('HSET', content_key, 'channel', event.channel, 'attempt', event.attempt, 'run', event.run,
    'runs', event.runs, 'began', event.began, 'seq', event.seq, 'seq_offset', event.seq_offset or offset,
    'phase', event.phase, 'closed', event.closed, 'offset', offset, 'type', event.type, 'data', event.data,
    'lease', event.lease and '1' or '')
  redis.call('ZADD', channel_key, offset, event.id)
  redis.call('ZADD', shared.index, offset, event.channel)
  redis.call('ZADD', shared.ends, integer(clk.ms + shared.retention), event.id)
  count(counts_key, stored and stored.phase, event.phase)
  if event.lease then
    redis.call('ZADD', shared.leases, integer(lease_time(clk) + event.lease * 1000), event.id)
  elseif stored and stored.lease ~= '' then
    redis.call('ZREM', shared.leases, event.id)
  end
  if not stored then
    clk.contents = clk.contents + 1
    if prev == 0 then
      redis.call('ZADD', shared.names, 0, event.channel)
      if clk.floor > 0 then redis.call('ZADD', channel_key, integer(clk.floor), FLOOR) end
    end
    if event.returns then
      redis.call('HDEL', content_key, 'removed', 'from')
      if redis.call('ZREM', channel_key, TOMB .. event.id) == 1 then
        redis.call('ZREM', shared.ends, TOMB .. event.channel .. '\t' .. event.id)
      end
    end
  end
  clk.bytes = clk.bytes + size
  announce(clk, event.channel, offset, prev, event.id, event.type, event.data)
  return offset
end

local FENCE = { 'channel', 'attempt', 'run', 'runs', 'began', 'seq', 'seq_offset', 'phase', 'closed', 'offset', 'lease',
  'removed' }

-- A stored content; nil for an unknown one, and whether it was removed; or false where its key holds something else.
local function read(key)
  local values = redis.pcall('HMGET', key, unpack(FENCE))
  if values.err then return false end
  if not values[1] then return nil, values[#FENCE] end
  local stored = {}
  for i, name in ipairs(FENCE) do stored[name] = values[i] or '' end
  stored.size = redis.call('HSTRLEN', key, 'data')
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

-- The fence, with the rules of contract.py in their order. Returns an offset, or nil and the reason.
local function publish(clk, shared, keys, event)
  local stored, removed = read(keys[1])
  if stored == false then return nil, 'occupied' end
  event.returns = removed
  local attempt, seq = tonumber(event.attempt), tonumber(event.seq)
  local began = clk.now - event.age
  event.seq = seq and integer(seq) or ''
  if not stored then
    open_attempt(nil, event, attempt or 1, began)
    return store(clk, shared, keys, nil, event)
  end
  if stored.channel ~= event.channel then return nil, 'wrong_channel' end

  local open = tonumber(stored.attempt)
  local opens
  if event.run ~= '' and event.run ~= stored.run then
    if is_former(stored.runs, event.run) or began <= (tonumber(stored.began) or 0) then return nil, 'superseded' end
    opens = open + 1
  elseif event.run == '' and attempt and attempt < open then
    return nil, 'superseded'
  elseif event.run == '' and attempt and attempt > open then
    opens = attempt
  end
  if opens then
    open_attempt(stored, event, opens, began)
    return store(clk, shared, keys, stored, event)
  end

  local open_seq = tonumber(stored.seq)
  event.attempt = stored.attempt
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
    leases = keys[2], ends = keys[3], index = keys[4], names = keys[5],
    retention = known.retention or DEFAULT_RETENTION_MS, default_lease = known.default_lease,
    limits = {
      contents = known.max_contents or LARGEST, bytes = known.max_bytes or LARGEST,
      channel = known.max_channel_contents or LARGEST,
    },
  }
end

local function save(clk)
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

-- FCALL statushub5_publish <number of keys> <clock> <leases> <ends> <index> <names> <rates>
--     then for each event: <content> <channel> <counts>
--   retention in ms, default lease in s, most contents, most bytes, most contents of a channel (hubs; else '', which
--     takes what hubs have written), sub, its events a second, its bytes a second, and the events and bytes to count
--     (each or '')
--   then for each event: channel, id, type, phase, attempt, seq, lease in s, run, age in ms (each or ''),
--     'restart' or '', the seq that a delta follows (not yet: ''), data
-- Returns for each event 1, cursor, attempt or 0, reason, ''; or -1, ms, 'events' or 'bytes' where a rate is exceeded.
local function publish_all(keys, args)
  local events = (#keys - KEYS_BEFORE) / KEYS_EACH
  if events < 1 or events % 1 ~= 0 or #args ~= ARGS_BEFORE + events * ARGS_EACH then
    return redis.error_reply('ERR statushub5_publish takes 6 keys and 10 arguments, and 3 keys and 12 arguments an event')
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
    if args[i + 10] ~= '' then return redis.error_reply('ERR statushub5_publish takes no deltas yet') end
  end
  local clk = clock(keys[1])
  local wait, rate = exceeded(clk, keys[6], args)
  if wait then return { -1, wait, rate } end
  local shared = shared_state(clk, keys, args)
  redis.call('ZADD', shared.leases, '+inf', TOMB)
  local answer = {}
  for n = 0, events - 1 do
    local k, a = KEYS_BEFORE + n * KEYS_EACH, ARGS_BEFORE + n * ARGS_EACH
    local phase = args[a + 4]
    local closed = phase == 'completed' or phase == 'failed'
    local lease = tonumber(args[a + 7]) or shared.default_lease
    local event = {
      channel = args[a + 1], id = args[a + 2], type = args[a + 3], phase = phase, closed = closed and '1' or '0',
      attempt = args[a + 5], seq = args[a + 6], lease = phase == 'processing' and lease and lease > 0 and lease or nil,
      run = args[a + 8], age = tonumber(args[a + 9]) or 0, restart = args[a + 10] == 'restart', data = args[a + 12],
    }
    if redis.pcall('PTTL', keys[k + 2]) ~= -1 then
      take_over(clk, shared, event.channel, keys[k + 2], keys[k + 3])
    end
    local offset, reason = publish(clk, shared, { keys[k + 1], keys[k + 2], keys[k + 3] }, event)
    answer[#answer + 1] = offset and 1 or 0
    answer[#answer + 1] = offset and clk.epoch .. '-' .. offset or reason
    answer[#answer + 1] = offset and event.attempt or ''
  end
  save(clk)
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

-- FCALL statushub5_states <number of keys> <clock> then each <content>
-- Returns epoch, the clock's offset, then of each content: channel, offset, type, data; channel and offset of its tombstone;
-- false where it is unknown; or '' where its key holds something else.
local function states(keys)
  local clk = clock(keys[1])
  local answer = { clk.epoch, integer(clk.offset) }
  for i = 2, #keys do
    local stored = redis.pcall('HMGET', keys[i], 'channel', 'offset', 'type', 'data', 'removed', 'from')
    if stored.err then
      answer[#answer + 1] = ''
    elseif stored[1] and string.find(stored[2] or '', '^%d+$') and stored[3] and stored[4] then
      answer[#answer + 1] = { stored[1], stored[2], stored[3], stored[4] }
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

-- FCALL statushub5_due 3 <clock> <leases> <ends>
--   now in ms or '', limit, then the settings that hubs write
-- Sweeps: moves lease time on. Returns the ids of contents whose lease has run out, and the members of ends whose
-- retention has.
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
  return { overdue, ended }
end

-- FCALL statushub5_stall <number of keys> <clock> <leases> <ends> <index> <names>
--     then for each content: <content> <channel> <counts>
--   retention in ms, now in ms or '', then for each content: channel, id, offset, type, data
-- Ends each content whose lease has run out, unless its offset has changed. Returns 1 for each that this call ended, else 0.
local function stall(keys, args)
  local clk = clock(keys[1])
  if args[2] ~= '' then clk.ms = tonumber(args[2]) end
  local shared = shared_state(clk, keys, { args[1] })
  local answer = {}
  for n = 0, (#keys - 5) / 3 - 1 do
    local k, a = 5 + n * 3, 2 + n * 5
    local stored = read(keys[k + 1])
    local ended = 0
    local deadline = tonumber(redis.call('ZSCORE', shared.leases, args[a + 2]) or LARGEST)
    if stored and deadline < clk.ms - clk.pause and stored.channel == args[a + 1] and stored.offset == args[a + 3] and stored.lease ~= '' then
      local event = {
        channel = stored.channel, id = args[a + 2], type = args[a + 4], phase = 'failed', closed = '1',
        attempt = stored.attempt, run = stored.run, runs = stored.runs, began = stored.began, seq = stored.seq,
        seq_offset = stored.seq_offset, data = args[a + 5],
      }
      if store(clk, shared, { keys[k + 1], keys[k + 2], keys[k + 3] }, stored, event) then ended = 1 end
    elseif not stored then
      redis.call('ZREM', shared.leases, args[a + 2])
    end
    answer[#answer + 1] = ended
  end
  save(clk)
  return answer
end

-- FCALL statushub5_remove <number of keys> <clock> <leases> <ends> <index> <names>
--     then for each content: <content> <channel> <counts>
--   now in ms or '', type of the tombstone, then for each content: channel, id, offset, data of the tombstone
-- Removes each content whose retention has ended, unless its offset has changed, and announces its tombstone. Returns 1
-- for each that this call removed, else 0.
local function remove(keys, args)
  local clk = clock(keys[1])
  if args[1] ~= '' then clk.ms = tonumber(args[1]) end
  local shared = shared_state(clk, keys, {})
  local answer = {}
  for n = 0, (#keys - 5) / 3 - 1 do
    local k, a = 5 + n * 3, 2 + n * 4
    local channel, id = args[a + 1], args[a + 2]
    local stored = read(keys[k + 1])
    local prev = latest(keys[k + 2])
    local ends = tonumber(redis.call('ZSCORE', shared.ends, id) or LARGEST)
    if stored and prev and ends < clk.ms and stored.channel == channel and stored.offset == args[a + 3] then
      local offset = advance(clk, prev)
      redis.call('DEL', keys[k + 1])
      redis.call('HSET', keys[k + 1], 'removed', offset, 'from', channel)
      redis.call('ZREM', keys[k + 2], id)
      redis.call('ZADD', keys[k + 2], offset, TOMB .. id)
      redis.call('ZADD', shared.index, offset, channel)
      redis.call('ZREM', shared.ends, id)
      redis.call('ZADD', shared.ends, integer(clk.ms + TOMBSTONE_MS), TOMB .. channel .. '\t' .. id)
      redis.call('ZREM', shared.leases, id)
      count(keys[k + 3], stored.phase)
      clk.contents, clk.bytes = clk.contents - 1, clk.bytes - stored.size
      announce(clk, channel, offset, prev, id, args[2], args[a + 4])
      answer[#answer + 1] = 1
    else
      if not stored and ends < clk.ms then redis.call('ZREM', shared.ends, id) end
      answer[#answer + 1] = 0
    end
  end
  save(clk)
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
    formerly[#formerly + 1] = answer[i]
    formerly[#formerly + 1] = answer[i + 1]
  end
  return formerly
end

redis.register_function('statushub5_publish', publish_all)
-- Reads write little (a new epoch), so they are allowed on a server without memory.
redis.register_function{ function_name = 'statushub5_ids', callback = ids, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushub5_states', callback = states, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushub5_offsets', callback = offsets, flags = { 'allow-oom' } }
redis.register_function('statushub5_due', due)
redis.register_function('statushub5_stall', stall)
redis.register_function{ function_name = 'statushub5_remove', callback = remove, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushub5_forget', callback = forget, flags = { 'allow-oom' } }
redis.register_function{
  function_name = 'statushub5_version', callback = function() return MINOR end, flags = { 'no-writes' },
}
redis.register_function('statushub_publish', publish_formerly)
redis.register_function{ function_name = 'statushub_version', callback = function() return 5 end, flags = { 'no-writes' } }
