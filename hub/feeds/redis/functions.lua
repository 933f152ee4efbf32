#!lua name=statushubfeed1
-- The contract of feeds/contract.py, kept inside Redis. A batch of writes is one call, and atomic.
--
-- The library's name and the names of its functions carry the major version. All keys of a tenant share the hash tag of
-- its prefix ("hub:{acme}:feed"), and each function declares every key that it touches. JSON is opaque.
--
--   <prefix>:clock             hash   version: grows with every change, and begins at the time, in ms
--   <prefix>:ids               zset   ids of writes by when they came, in ms
--   <prefix>:trending          zset   videos by their score
--   <prefix>:due               zset   what is to be announced, "v<video>" and "u<user>", by when it is due, in ms
--   <prefix>:video:<id>        hash   view, like, comment, remix, glitch; version; said (when they were last announced, in
--                                     ms); or deleted
--   <prefix>:likes:<user>      set    videos
--   <prefix>:follows:<user>    set    users
--   <prefix>:user:<user>       hash   news (how many there were), version, said (the version of the last that was
--                                     announced), and in the fields 0 to NEWS - 1 "<version>\t<type>\t<data>"
--   <prefix>:notes:<user>      zset   ids of notifications by their place
--   <prefix>:noted:<user>      hash   of each, "<category>\n<record>"
--   <prefix>:unread:<user>     set    ids of those that were not read

local MINOR = 1
local IDS, IDS_MS = 100000, 24 * 3600 * 1000
local LIKES = 100000
local NOTIFICATIONS = 1000
local NEWS = 20
local STATS_MS, CLAIM_MS = 1000, 5000
local TRENDING = 10000
local LARGEST = 2 ^ 53 - 1
local COUNTERS = { 'view', 'like', 'comment', 'remix', 'glitch' }
local WEIGHTS = { 1, 10, 20, 30, 30 }
local SHARED = { 'hash', 'zset', 'zset', 'zset' }
-- The kinds of the keys that each write has.
local KEYS_OF = {
  like = { 'set', 'hash', 'hash' },
  follow = { 'set', 'hash' },
  count = { 'hash' },
  delete = { 'hash' },
  notify = { 'zset', 'hash', 'set', 'hash' },
  read = { 'set', 'hash' },
}
-- Notifications that are looked at in one go for those of a category.
local LOOKED = 100

local function integer(number)
  return string.format('%.0f', number)
end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function next_version(batch)
  batch.version = math.max(batch.version + 1, batch.now)
  return batch.version
end

local function make_due(batch, member, at)
  local before = tonumber(redis.call('ZSCORE', batch.due, member))
  if not before or before > at then redis.call('ZADD', batch.due, integer(at), member) end
end

-- Add to the counters of a video; false where nothing changes.
local function count(batch, key, video, changes)
  local stored = redis.call('HMGET', key, 'said', unpack(COUNTERS))
  local fields, score = {}, 0
  for i = 1, #COUNTERS do
    local before = tonumber(stored[i + 1]) or 0
    local after = math.min(math.max(before + changes[i], 0), LARGEST)
    if after ~= before then
      fields[#fields + 1] = COUNTERS[i]
      fields[#fields + 1] = integer(after)
    end
    score = score + after * WEIGHTS[i]
  end
  if #fields == 0 then return false end
  redis.call('HSET', key, 'version', integer(next_version(batch)), unpack(fields))
  if score > 0 then
    redis.call('ZADD', batch.trending, integer(math.min(score, LARGEST)), video)
    batch.trends = true
  else
    redis.call('ZREM', batch.trending, video)
  end
  make_due(batch, 'v' .. video, math.max(batch.now, (tonumber(stored[1]) or 0) + STATS_MS))
  return true
end

local function touch_user(batch, key, user, ...)
  local version = next_version(batch)
  redis.call('HSET', key, 'version', integer(version), ...)
  make_due(batch, 'u' .. user, batch.now)
end

-- Tell a user's other tabs. The version that the news have is the one that the user then has.
local function tell(batch, key, user, type, data)
  local news = redis.call('HINCRBY', key, 'news', 1)
  local version = math.max(batch.version + 1, batch.now)
  touch_user(batch, key, user, tostring(news % NEWS), integer(version) .. '\t' .. type .. '\t' .. data)
end

local function is_deleted(key)
  return redis.call('HEXISTS', key, 'deleted') == 1
end

-- Put a member into a set, or take it out; the reason where that changes nothing.
local function put(key, member, there)
  local before = redis.call('SISMEMBER', key, member) == 1
  if before == there then return 'unchanged' end
  if there and redis.call('SCARD', key) >= LIKES then return 'full' end
  redis.call(there and 'SADD' or 'SREM', key, member)
end

local OPS = {}

function OPS.like(batch, keys, args)
  local user, video, there = args[1], args[2], args[3] == '1'
  local deleted = is_deleted(keys[2])
  if there and deleted then return 'deleted' end
  local reason = put(keys[1], video, there)
  if reason then return reason end
  if not deleted then count(batch, keys[2], video, { 0, there and 1 or -1, 0, 0, 0 }) end
  tell(batch, keys[3], user, args[4], args[5])
end

function OPS.follow(batch, keys, args)
  local reason = put(keys[1], args[2], args[3] == '1')
  if reason then return reason end
  tell(batch, keys[2], args[1], args[4], args[5])
end

function OPS.count(batch, keys, args)
  if is_deleted(keys[1]) then return 'deleted' end
  local changes = {}
  for i = 1, #COUNTERS do changes[i] = tonumber(args[1 + i]) end
  if not count(batch, keys[1], args[1], changes) then return 'unchanged' end
end

function OPS.delete(batch, keys, args)
  if is_deleted(keys[1]) then return 'unchanged' end
  local video = args[1]
  local said = tonumber(redis.call('HGET', keys[1], 'said')) or 0
  redis.call('HDEL', keys[1], unpack(COUNTERS))
  redis.call('HSET', keys[1], 'deleted', '1', 'version', integer(next_version(batch)))
  redis.call('ZREM', batch.trending, video)
  make_due(batch, 'v' .. video, math.max(batch.now, said + STATS_MS))
end

function OPS.notify(batch, keys, args)
  local user, id = args[1], args[2]
  if redis.call('HEXISTS', keys[2], id) == 1 then return 'repeat' end
  redis.call('ZADD', keys[1], integer(next_version(batch)), id)
  redis.call('HSET', keys[2], id, args[3] .. '\n' .. args[4])
  redis.call('SADD', keys[3], id)
  local old = redis.call('ZRANGE', keys[1], 0, -NOTIFICATIONS - 1)
  for _, gone in ipairs(old) do
    redis.call('ZREM', keys[1], gone)
    redis.call('HDEL', keys[2], gone)
    redis.call('SREM', keys[3], gone)
  end
  tell(batch, keys[4], user, 'notification', args[4])
end

function OPS.read(batch, keys, args)
  local marked
  if args[2] == 'all' then
    marked = redis.call('SCARD', keys[1])
    redis.call('DEL', keys[1])
  else
    marked = 0
    for i = 3, #args do marked = marked + redis.call('SREM', keys[1], args[i]) end
  end
  if marked == 0 then return 'unchanged', 0 end
  touch_user(batch, keys[2], args[1])
  return nil, marked
end

-- Whether a key holds something else than it should.
local function is_foreign(key, kind)
  local found = redis.call('TYPE', key).ok
  return found ~= 'none' and found ~= kind
end

local function foreign_key(keys, args)
  for i, kind in ipairs(SHARED) do
    if is_foreign(keys[i], kind) then return keys[i] end
  end
  local at, k = 1, #SHARED
  while at <= #args do
    for i, kind in ipairs(KEYS_OF[args[at]]) do
      if is_foreign(keys[k + i], kind) then return keys[k + i] end
    end
    k = k + #KEYS_OF[args[at]]
    at = at + 3 + tonumber(args[at + 2])
  end
end

-- Keys: those of the tenant (clock, ids, trending, due), then those of each write. Arguments of each write: its name, its
-- id, how many further ones there are, and these. Answers with three numbers or words for each: 1 where it changed
-- something, the reason where not, and how many notifications were marked.
local function write(keys, args)
  local foreign = foreign_key(keys, args)
  if foreign then return redis.error_reply('WRONGTYPE ' .. foreign .. ' is the key of another program') end
  local now = now_ms()
  local batch = {
    now = now, version = tonumber(redis.call('HGET', keys[1], 'version')) or 0, trending = keys[3], due = keys[4],
  }
  local answer, at, k = {}, 1, #SHARED
  while at <= #args do
    local op, id, more = args[at], args[at + 1], tonumber(args[at + 2])
    local given, own = {}, {}
    for i = 1, more do given[i] = args[at + 2 + i] end
    for i = 1, #KEYS_OF[op] do own[i] = keys[k + i] end
    local reason, marked
    if id ~= '' and redis.call('ZSCORE', keys[2], id) then
      reason = 'repeat'
    else
      reason, marked = OPS[op](batch, own, given)
      if id ~= '' and reason ~= 'full' then redis.call('ZADD', keys[2], integer(now), id) end
    end
    answer[#answer + 1] = reason and 0 or 1
    answer[#answer + 1] = reason or ''
    answer[#answer + 1] = marked or 0
    at, k = at + 3 + more, k + #KEYS_OF[op]
  end
  redis.call('HSET', keys[1], 'version', integer(batch.version))
  redis.call('ZREMRANGEBYSCORE', keys[2], '-inf', '(' .. integer(now - IDS_MS))
  redis.call('ZREMRANGEBYRANK', keys[2], 0, -IDS - 1)
  if batch.trends then redis.call('ZREMRANGEBYRANK', keys[3], 0, -TRENDING - 1) end
  return answer
end

-- Of each video its five counters, "" for one that is deleted.
local function counts(keys)
  local answer = {}
  for i, key in ipairs(keys) do
    local stored = redis.call('HMGET', key, 'deleted', unpack(COUNTERS))
    if stored[1] then
      answer[i] = ''
    else
      answer[i] = { unpack(stored, 2) }
    end
  end
  return answer
end

-- Arguments: the score and the video behind which to begin, or "", and how many. Of equal scores the video that is
-- greater, by its bytes, comes first.
local function trending(keys, args)
  local key, score, video, limit = keys[1], args[1], args[2], tonumber(args[3])
  local first = 0
  if score ~= '' then
    local low = redis.call('ZCOUNT', key, '(' .. score, '+inf')
    local high = low + redis.call('ZCOUNT', key, score, score)
    while low < high do
      local middle = math.floor((low + high) / 2)
      if redis.call('ZREVRANGE', key, middle, middle)[1] < video then
        high = middle
      else
        low = middle + 1
      end
    end
    first = low
  end
  return redis.call('ZREVRANGE', key, first, first + limit - 1, 'WITHSCORES')
end

-- Keys: notes, noted, unread. Arguments: the place before which to begin, how many, and a category or "". Answers with
-- the place, the record and 1 for read of each.
local function notifications(keys, args)
  local before, limit, category = args[1], tonumber(args[2]), args[3]
  local answer, skipped = {}, 0
  local looked = category == '' and limit or math.max(limit, LOOKED)
  while #answer < 3 * limit do
    local found = redis.call('ZREVRANGEBYSCORE', keys[1], before, '-inf', 'WITHSCORES', 'LIMIT', skipped, looked)
    for i = 1, #found, 2 do
      local stored = redis.call('HGET', keys[2], found[i])
      local named, record = string.match(stored or '', '^([^\n]*)\n(.*)$')
      if record and (category == '' or named == category) and #answer < 3 * limit then
        answer[#answer + 1] = found[i + 1]
        answer[#answer + 1] = record
        answer[#answer + 1] = 1 - redis.call('SISMEMBER', keys[3], found[i])
      end
    end
    if #found < 2 * looked then break end
    skipped = skipped + looked
  end
  return answer
end

-- Keys: due. Argument: how many. Answers with the milliseconds until something is due, -1 for nothing, and what is due.
local function due(keys, args)
  local now = now_ms()
  local first = redis.call('ZRANGE', keys[1], 0, 0, 'WITHSCORES')
  if #first == 0 then return { -1 } end
  local found = redis.call('ZRANGEBYSCORE', keys[1], '-inf', integer(now), 'LIMIT', 0, tonumber(args[1]))
  return { math.max(tonumber(first[2]) - now, 0), unpack(found) }
end

-- Keys: due, then two of each member: a video's hash twice, or a user's hash and set of unread notifications. Arguments:
-- the members. Answers with the claimed ones: member, token, version, and of a video its counters, or "", of a user the
-- number of unread notifications and the slots of news, each with what it holds.
local function claim(keys, args)
  local now = now_ms()
  local token = integer(now + CLAIM_MS)
  local answer = {}
  for i, member in ipairs(args) do
    local at = tonumber(redis.call('ZSCORE', keys[1], member))
    if at and at <= now then
      redis.call('ZADD', keys[1], token, member)
      local key, claimed = keys[2 * i], { member, token }
      if string.sub(member, 1, 1) == 'v' then
        local stored = redis.call('HMGET', key, 'version', 'deleted', unpack(COUNTERS))
        redis.call('HSET', key, 'said', integer(now))
        claimed[3], claimed[4] = stored[1] or '0', stored[2] and '' or { unpack(stored, 3) }
      else
        local stored = redis.call('HMGET', key, 'version', 'said')
        local news, said = {}, tonumber(stored[2]) or 0
        for slot = 0, NEWS - 1 do
          local told = redis.call('HGET', key, tostring(slot))
          if told and tonumber(string.match(told, '^%d+')) > said then
            news[#news + 1] = slot
            news[#news + 1] = told
          end
        end
        claimed[3], claimed[4], claimed[5] = stored[1] or '0', redis.call('SCARD', keys[2 * i + 1]), news
      end
      answer[#answer + 1] = claimed
    end
  end
  return answer
end

-- Keys: due, then the hash of each member. Arguments: member, token and version of each.
local function done(keys, args)
  for i = 1, #args / 3 do
    local member, token, version = args[3 * i - 2], args[3 * i - 1], args[3 * i]
    if tonumber(redis.call('ZSCORE', keys[1], member)) == tonumber(token) then
      redis.call('ZREM', keys[1], member)
    end
    if string.sub(member, 1, 1) == 'u' then
      local said = tonumber(redis.call('HGET', keys[i + 1], 'said')) or 0
      if said < tonumber(version) then redis.call('HSET', keys[i + 1], 'said', version) end
    end
  end
  return 0
end

redis.register_function('statushubfeed1_write', write)
redis.register_function{ function_name = 'statushubfeed1_counts', callback = counts, flags = { 'no-writes' } }
redis.register_function{ function_name = 'statushubfeed1_trending', callback = trending, flags = { 'no-writes' } }
redis.register_function{ function_name = 'statushubfeed1_notifications', callback = notifications, flags = { 'no-writes' } }
redis.register_function{ function_name = 'statushubfeed1_due', callback = due, flags = { 'no-writes' } }
redis.register_function{ function_name = 'statushubfeed1_claim', callback = claim, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'statushubfeed1_done', callback = done, flags = { 'allow-oom' } }
redis.register_function{
  function_name = 'statushubfeed1_version', callback = function() return MINOR end, flags = { 'no-writes' },
}
