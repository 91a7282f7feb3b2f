-- What Prisma's schema language cannot say about connections. A host with a Prisma client of its own needs all of
-- this file in a migration of its own: without it a revoked connection would go on being served.

-- At most one default per user and provider, whatever the clients do.
CREATE UNIQUE INDEX "cloud_connections_one_default" ON "cloud_connections"("user_id", "provider") WHERE "is_default";

-- `version` and `credentials_revision` are facts about the row, so the database keeps them: no code path, and no
-- statement typed by an operator, can change what may be seen without raising the version, or set either one.
-- A token refresh changes the credentials alone: nobody's cached pages become wrong by it.
CREATE FUNCTION "cloud_connections_keep_versions"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW."version" := OLD."version";
  NEW."credentials_revision" := OLD."credentials_revision";

  IF (NEW."user_id", NEW."provider", NEW."account_id", NEW."status", NEW."scopes", NEW."connected_at")
    IS DISTINCT FROM
    (OLD."user_id", OLD."provider", OLD."account_id", OLD."status", OLD."scopes", OLD."connected_at")
  THEN
    NEW."version" := OLD."version" + 1;
  END IF;

  IF NEW."credentials" IS DISTINCT FROM OLD."credentials" THEN
    NEW."credentials_revision" := OLD."credentials_revision" + 1;
  END IF;

  -- Times are UTC without a zone, whatever zone the session is in.
  NEW."updated_at" := now() AT TIME ZONE 'UTC';
  RETURN NEW;
END
$$;

CREATE TRIGGER "cloud_connections_keep_versions" BEFORE UPDATE ON "cloud_connections"
  FOR EACH ROW EXECUTE FUNCTION "cloud_connections_keep_versions"();

-- Tells the other processes at once what they would otherwise notice when their lease ends. Messages may be lost;
-- nothing depends on them but speed.
CREATE FUNCTION "cloud_connections_announce"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  payload text;
BEGIN
  -- A row that changes hands is gone for its old owner.
  IF TG_OP = 'DELETE' OR (OLD."id", OLD."user_id", OLD."provider") IS DISTINCT FROM (NEW."id", NEW."user_id", NEW."provider") THEN
    payload := json_build_object(
      'id', OLD."id", 'userId', OLD."user_id", 'provider', OLD."provider", 'version', OLD."version", 'deleted', true);
    -- 8000 bytes and more are an error, which would undo the change itself. An empty object says: anything.
    PERFORM pg_notify('cloud_connections', CASE WHEN octet_length(payload) < 8000 THEN payload ELSE '{}' END);
  END IF;

  IF TG_OP = 'UPDATE' THEN
    payload := json_build_object(
      'id', NEW."id", 'userId', NEW."user_id", 'provider', NEW."provider", 'version', NEW."version");
    PERFORM pg_notify('cloud_connections', CASE WHEN octet_length(payload) < 8000 THEN payload ELSE '{}' END);
  END IF;

  RETURN NULL;
END
$$;

CREATE TRIGGER "cloud_connections_announce_update" AFTER UPDATE ON "cloud_connections"
  FOR EACH ROW WHEN (OLD."version" IS DISTINCT FROM NEW."version" OR OLD."id" IS DISTINCT FROM NEW."id")
  EXECUTE FUNCTION "cloud_connections_announce"();

CREATE TRIGGER "cloud_connections_announce_delete" AFTER DELETE ON "cloud_connections"
  FOR EACH ROW EXECUTE FUNCTION "cloud_connections_announce"();
