#!lua name=statushub
-- The contract of contract.py, kept inside Redis. A publish is atomic: fence, clock, store, announce.
-- Every function takes one key, the tenant's prefix ("hub:{acme}"). All keys derive from it and share its hash
-- tag, so that each call touches one cluster slot. Event data are opaque bytes: cjson would turn [] into {} and
-- round large numbers.
--
--   <prefix>:clock            hash   epoch, offset, run_id, swept (the last sweep, in milliseconds)
--   <prefix>:content:<id>     hash   channel, attempt, seq, given (the offset of the event that brought seq),
--                                 closed, offset, type, data, leased (when its lease was set, in milliseconds, or 0)
--   <prefix>:channel:<name>   zset   content ids by offset
--   <prefix>:leases           zset   content ids by deadline, in milliseconds
--   <prefix>:events:<name>    sharded pub/sub channel of announcements

local VERSION = 4
local DEFAULT_RETENTION_MS = 7 * 24 * 3600 * 1000
local SWEEP_GAP_MS = 5000

-- Cached for the life of the server process.
local server_run_id

local function run_id()
  if not server_run_id then
    server_run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  end
  return server_run_id
end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function integer(number)
  return string.format('%.0f', number)
end

local function new_epoch()
  local time = redis.call('TIME')
  local number = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local digits, name = '0123456789abcdefghijklmnopqrstuvwxyz', ''
  while number > 0 do
    local digit = number % 36
    name = string.sub(digits, digit + 1, digit + 1) .. name
    number = (number - digit) / 36
  end
  return name
end

-- The tenant's clock. A server other than the one that wrote it may have lost the latest offsets, so it begins a
-- new epoch before anything is read or published.
local function clock(prefix)
  local key = prefix .. ':clock'
  local stored = redis.call('HMGET', key, 'epoch', 'offset', 'run_id')
  local epoch, offset = stored[1], tonumber(stored[2] or 0)
  if not epoch or stored[3] ~= run_id() then
    local fresh = new_epoch()
    if fresh == epoch then fresh = fresh .. '0' end
    epoch = fresh
    redis.call('HSET', key, 'epoch', epoch, 'offset', integer(offset), 'run_id', run_id())
  end
  return { key = key, epoch = epoch, offset = offset }
end

local function store(prefix, clk, retention, event)
  local content_key = prefix .. ':content:' .. event.id
  local channel_key = prefix .. ':channel:' .. event.channel

  local last = redis.call('ZRANGE', channel_key, -1, -1, 'WITHSCORES')
  local prev = tonumber(last[2] or 0)
  clk.offset = math.max(clk.offset, prev) + 1
  local offset = integer(clk.offset)

  redis.call('HSET', content_key, 'channel', event.channel, 'attempt', event.attempt, 'seq', event.seq,
    'given', event.given or offset, 'closed', event.closed, 'offset', offset, 'type', event.type,
    'data', event.data, 'leased', event.lease and integer(now_ms()) or '0')
  redis.call('PEXPIRE', content_key, retention)
  redis.call('ZADD', channel_key, offset, event.id)
  -- The longest retention of its contents: a publisher with a shorter one must not remove the others'.
  if redis.call('PEXPIRE', channel_key, retention, 'GT') == 0 then
    redis.call('PEXPIRE', channel_key, retention, 'NX')
  end
  if event.lease then
    redis.call('ZADD', prefix .. ':leases', integer(now_ms() + event.lease * 1000), event.id)
  elseif event.was_leased then
    redis.call('ZREM', prefix .. ':leases', event.id)
  end

  -- Contents expire by themselves; their entries in the index are removed one per publish, oldest first.
  local oldest = redis.call('ZRANGE', channel_key, 0, 0)[1]
  if oldest and redis.call('HGET', prefix .. ':content:' .. oldest, 'channel') ~= event.channel then
    redis.call('ZREM', channel_key, oldest)
  end

  redis.call('HSET', clk.key, 'offset', offset)
  redis.call('SPUBLISH', prefix .. ':events:' .. event.channel,
    table.concat({ clk.epoch, offset, integer(prev), event.id, event.type }, '\t') .. '\n' .. event.data)
  return clk.epoch .. '-' .. offset
end

-- The fence, with the rules of contract.py in their order. Returns a cursor, or nil and the reason.
local function publish(prefix, clk, retention, event)
  local stored = redis.call('HMGET', prefix .. ':content:' .. event.id,
    'channel', 'attempt', 'seq', 'closed', 'offset', 'leased', 'given')
  local attempt, seq = tonumber(event.attempt), tonumber(event.seq)
  if not stored[1] then
    event.attempt = integer(attempt or 1)
    event.seq = seq and integer(seq) or ''
    return store(prefix, clk, retention, event)
  end

  local open_attempt, open_seq = tonumber(stored[2]), tonumber(stored[3])
  event.was_leased = stored[6] ~= '0'
  if stored[1] ~= event.channel then return nil, 'wrong_channel' end
  if attempt and attempt < open_attempt then return nil, 'superseded' end
  if attempt and attempt > open_attempt then
    event.attempt = integer(attempt)
    event.seq = seq and integer(seq) or ''
    return store(prefix, clk, retention, event)
  end
  if seq and open_seq then
    if seq == open_seq then return clk.epoch .. '-' .. stored[7] end
    if seq < open_seq then return nil, 'superseded' end
  end
  if stored[4] == '1' then return nil, 'closed' end
  event.attempt = stored[2]
  event.seq = seq and integer(seq) or stored[3]
  event.given = not seq and stored[7] or nil
  return store(prefix, clk, retention, event)
end

-- FCALL statushub_publish 1 <prefix> <retention ms or ''>
--   then for each event: channel, content id, type, '1' if terminal else '0',
--   attempt or '', seq or '', lease in seconds or '', data
-- Returns for each event 1, cursor or 0, reason.
local function publish_all(keys, args)
  local prefix, answer = keys[1], {}
  local clk = clock(prefix)
  local retention = tonumber(args[1]) or DEFAULT_RETENTION_MS
  if (#args - 1) % 8 ~= 0 or #args == 1 then
    return redis.error_reply('ERR statushub_publish takes a retention and 8 arguments an event')
  end
  for i = 2, #args, 8 do
    -- Each is part of a line of an announcement and of a stream.
    if string.find(args[i] .. args[i + 1] .. args[i + 2], '%c') then
      return redis.error_reply('ERR statushub_publish takes no control characters in channel, content id and type')
    end
  end
  for i = 2, #args, 8 do
    local lease = args[i + 3] ~= '1' and tonumber(args[i + 6]) or nil
    local cursor, reason = publish(prefix, clk, retention, {
      channel = args[i], id = args[i + 1], type = args[i + 2], closed = args[i + 3],
      attempt = args[i + 4], seq = args[i + 5], lease = lease, data = args[i + 7],
    })
    answer[#answer + 1] = cursor and 1 or 0
    answer[#answer + 1] = cursor or reason
  end
  return answer
end

-- FCALL statushub_changes 1 <prefix> <channel> <since epoch> <since offset> <limit>
-- Returns epoch, the clock's offset, 1 if more follow else 0, then offset, id, type, data of each event.
local function changes(keys, args)
  local prefix = keys[1]
  local clk = clock(prefix)
  local since, limit = tonumber(args[3]), tonumber(args[4])
  if args[2] ~= clk.epoch then since = 0 end
  local channel_key = prefix .. ':channel:' .. args[1]
  local ids = redis.call('ZRANGE', channel_key, '(' .. integer(since), '+inf', 'BYSCORE', 'LIMIT', 0, limit)
  local answer = { clk.epoch, integer(clk.offset), #ids == limit and 1 or 0 }
  for _, id in ipairs(ids) do
    local stored = redis.call('HMGET', prefix .. ':content:' .. id, 'offset', 'type', 'data', 'channel')
    if stored[4] == args[1] and tonumber(stored[1] or '') and stored[2] and stored[3] then
      answer[#answer + 1] = stored[1]
      answer[#answer + 1] = id
      answer[#answer + 1] = stored[2]
      answer[#answer + 1] = stored[3]
    else
      redis.call('ZREM', channel_key, id)
    end
  end
  return answer
end

-- FCALL statushub_lookup 1 <prefix> <content ids, a line each>
-- Returns epoch, the clock's offset, then for each content channel, offset, type, data, or false.
-- One argument, because clients need longer to pack a hundred arguments than this needs to split one. A key of
-- another type, written by a foreign publisher, is an unknown content and does not fail the call.
local function lookup(keys, args)
  local clk = clock(keys[1])
  local contents = keys[1] .. ':content:'
  local answer = { clk.epoch, integer(clk.offset) }
  for id in string.gmatch(args[1], '[^\n]+') do
    local stored = redis.pcall('HMGET', contents .. id, 'channel', 'offset', 'type', 'data')
    local sound = stored[1] and string.find(stored[2] or '', '^%d+$') and stored[3] and stored[4]
    answer[#answer + 1] = sound and stored or false
  end
  return answer
end

-- FCALL statushub_offsets 1 <prefix> <channels, a line each>
-- Returns epoch, then the offset of each channel's latest event, or 0.
local function offsets(keys, args)
  local clk = clock(keys[1])
  local answer = { clk.epoch }
  for channel in string.gmatch(args[1], '[^\n]+') do
    local last = redis.call('ZRANGE', keys[1] .. ':channel:' .. channel, -1, -1, 'WITHSCORES')
    answer[#answer + 1] = integer(tonumber(last[2] or 0))
  end
  return answer
end

-- FCALL statushub_due 1 <prefix> <now in ms, or ''> <limit>
-- Returns channel, id, offset, type, data of each content whose lease has run out.
local function due(keys, args)
  local prefix, now = keys[1], tonumber(args[1]) or now_ms()
  local clk = clock(prefix)
  local leases = prefix .. ':leases'
  local swept = tonumber(redis.call('HGET', clk.key, 'swept') or now)
  redis.call('HSET', clk.key, 'swept', integer(now))
  if now < swept then
    -- The server's clock was set back: leases that were set before move with it.
    local held = redis.call('ZRANGE', leases, 0, -1, 'WITHSCORES')
    for i = 1, #held, 2 do
      local content_key = prefix .. ':content:' .. held[i]
      local leased = tonumber(redis.call('HGET', content_key, 'leased') or 0)
      if leased > now or (leased > 0 and leased < now - SWEEP_GAP_MS) then
        redis.call('ZADD', leases, integer(tonumber(held[i + 1]) + now - swept), held[i])
        redis.call('HSET', content_key, 'leased', integer(math.max(leased + now - swept, 1)))
      end
    end
  elseif now - swept > SWEEP_GAP_MS then
    local held = redis.call('ZRANGE', leases, 0, -1, 'WITHSCORES')
    for i = 1, #held, 2 do
      -- A lease that was set within the gap stood still only from then on.
      local leased = tonumber(redis.call('HGET', prefix .. ':content:' .. held[i], 'leased') or 0)
      local still = math.max(now - math.max(swept, leased), 0)
      redis.call('ZADD', leases, integer(tonumber(held[i + 1]) + still), held[i])
    end
  end
  local answer = {}
  for _, id in ipairs(redis.call('ZRANGE', leases, '-inf', '(' .. integer(now), 'BYSCORE', 'LIMIT', 0, args[2])) do
    local stored = redis.call('HMGET', prefix .. ':content:' .. id, 'channel', 'offset', 'type', 'data', 'leased')
    if stored[1] and tonumber(stored[2] or '') and stored[3] and stored[4] and tonumber(stored[5] or '0') > 0 then
      for _, value in ipairs({ stored[1], id, stored[2], stored[3], stored[4] }) do
        answer[#answer + 1] = value
      end
    else
      redis.call('ZREM', leases, id)
    end
  end
  return answer
end

-- FCALL statushub_stall 1 <prefix> <retention ms or ''> <id> <offset> <type> <data>
-- Ends the content unless its offset has changed. Returns 1 if this call ended it, else 0.
local function stall(keys, args)
  local prefix, id = keys[1], args[2]
  local stored = redis.call('HMGET', prefix .. ':content:' .. id, 'channel', 'attempt', 'seq', 'given', 'offset', 'leased')
  if not stored[1] or stored[5] ~= args[3] or stored[6] == '0' then return 0 end
  store(prefix, clock(prefix), tonumber(args[1]) or DEFAULT_RETENTION_MS, {
    channel = stored[1], id = id, attempt = stored[2], seq = stored[3], given = stored[4], closed = '1',
    type = args[4], data = args[5], was_leased = true,
  })
  return 1
end

redis.register_function('statushub_publish', publish_all)
-- Reads write little (a new epoch, removals from the index), so they are allowed on a server without memory.
redis.register_function{ function_name = 'statushub_changes', callback = changes, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushub_lookup', callback = lookup, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushub_offsets', callback = offsets, flags = { 'allow-oom' } }
redis.register_function('statushub_due', due)
redis.register_function('statushub_stall', stall)
redis.register_function{
  function_name = 'statushub_version', callback = function() return VERSION end, flags = { 'no-writes' },
}
