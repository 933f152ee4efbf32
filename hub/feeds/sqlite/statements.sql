-- name: tenant
SELECT version, ids FROM tenants WHERE tenant = :tenant;
-- name: keep_tenant
INSERT INTO tenants (tenant, version, ids) VALUES (:tenant, :version, :ids)
ON CONFLICT (tenant) DO UPDATE SET version = :version, ids = :ids;
-- name: has_id
SELECT 1 FROM ids WHERE tenant = :tenant AND id = :id;
-- name: keep_id
INSERT INTO ids (tenant, id, number, at) VALUES (:tenant, :id, :number, :at);
-- name: forget_old_ids
DELETE FROM ids WHERE tenant = :tenant AND at < :before;
-- name: forget_many_ids
DELETE FROM ids WHERE tenant = :tenant AND number <= :before;
-- name: video
SELECT views, likes, comments, remixes, glitches, deleted, said FROM videos WHERE tenant = :tenant AND video = :video;
-- name: keep_video
INSERT INTO videos (tenant, video, views, likes, comments, remixes, glitches, score, deleted, version, said)
VALUES (:tenant, :video, :views, :likes, :comments, :remixes, :glitches, :score, :deleted, :version, 0)
ON CONFLICT (tenant, video) DO UPDATE SET views = :views, likes = :likes, comments = :comments, remixes = :remixes,
glitches = :glitches, score = :score, deleted = :deleted, version = :version;
-- name: counts
SELECT video, views, likes, comments, remixes, glitches, deleted FROM videos
WHERE tenant = :tenant AND video IN (SELECT value FROM json_each(:videos));
-- name: trending
SELECT score, video FROM videos WHERE tenant = :tenant AND score > 0 AND (score, video) < (:score, :video)
ORDER BY score DESC, video DESC LIMIT :limit;
-- name: likes
SELECT video FROM likes WHERE tenant = :tenant AND user = :user AND video IN (SELECT value FROM json_each(:ids));
-- name: follows
SELECT followed FROM follows WHERE tenant = :tenant AND user = :user AND followed IN (SELECT value FROM json_each(:ids));
-- name: add_like
INSERT INTO likes (tenant, user, video) VALUES (:tenant, :user, :id);
-- name: drop_like
DELETE FROM likes WHERE tenant = :tenant AND user = :user AND video = :id;
-- name: add_follow
INSERT INTO follows (tenant, user, followed) VALUES (:tenant, :user, :id);
-- name: drop_follow
DELETE FROM follows WHERE tenant = :tenant AND user = :user AND followed = :id;
-- name: user
SELECT likes, follows, news, version, said FROM users WHERE tenant = :tenant AND user = :user;
-- name: keep_user
INSERT INTO users (tenant, user, likes, follows, news, version, said)
VALUES (:tenant, :user, :likes, :follows, :news, :version, 0)
ON CONFLICT (tenant, user) DO UPDATE SET likes = :likes, follows = :follows, news = :news, version = :version;
-- name: keep_news
INSERT OR REPLACE INTO news (tenant, user, slot, version, type, data)
VALUES (:tenant, :user, :slot, :version, :type, :data);
-- name: news
SELECT slot, version, type, data FROM news WHERE tenant = :tenant AND user = :user AND version > :said ORDER BY version;
-- name: has_note
SELECT 1 FROM notes WHERE tenant = :tenant AND user = :user AND id = :id;
-- name: keep_note
INSERT INTO notes (tenant, user, place, id, category, record, unread)
VALUES (:tenant, :user, :place, :id, :category, :record, 1);
-- name: drop_notes
DELETE FROM notes WHERE tenant = :tenant AND user = :user AND place <= (
  SELECT place FROM notes WHERE tenant = :tenant AND user = :user ORDER BY place DESC LIMIT 1 OFFSET :kept
);
-- name: notes
SELECT place, record, NOT unread FROM notes
WHERE tenant = :tenant AND user = :user AND place < :before AND (:category IS NULL OR category = :category)
ORDER BY place DESC LIMIT :limit;
-- name: unread
SELECT count(*) FROM notes WHERE tenant = :tenant AND user = :user AND unread;
-- name: read_all
UPDATE notes SET unread = 0 WHERE tenant = :tenant AND user = :user AND unread;
-- name: read_some
UPDATE notes SET unread = 0
WHERE tenant = :tenant AND user = :user AND unread AND id IN (SELECT value FROM json_each(:ids));
-- name: make_due
INSERT INTO due (tenant, member, at) VALUES (:tenant, :member, :at)
ON CONFLICT (tenant, member) DO UPDATE SET at = min(at, :at);
-- name: due
SELECT member FROM due WHERE tenant = :tenant AND at <= :now ORDER BY at LIMIT :limit;
-- name: next_due
SELECT min(at) FROM due WHERE tenant = :tenant;
-- name: claim
UPDATE due SET at = :at WHERE tenant = :tenant AND member = :member;
-- name: done
DELETE FROM due WHERE tenant = :tenant AND member = :member AND at = :token;
-- name: say_video
UPDATE videos SET said = :now WHERE tenant = :tenant AND video = :video;
-- name: video_news
SELECT version, deleted, views, likes, comments, remixes, glitches FROM videos
WHERE tenant = :tenant AND video = :video;
-- name: say_user
UPDATE users SET said = max(said, :version) WHERE tenant = :tenant AND user = :user;
-- name: due_tenants
SELECT DISTINCT tenant FROM due;
