-- The log of changed connections. Each instance polls it for all of its connections: everything that it has read before
-- and that no poll names is still valid.

-- CreateTable
CREATE TABLE "cloud_connection_changes" (
    "xid" xid8 NOT NULL DEFAULT pg_current_xact_id(),
    "connection_id" TEXT,
    "user_id" TEXT,
    "provider" TEXT,
    "at" TIMESTAMP(3) NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'::text),
    "marked_at" TIMESTAMP(3)
);

-- CreateIndex
CREATE INDEX "cloud_connection_changes_xid_idx" ON "cloud_connection_changes"("xid");

-- CreateIndex
CREATE INDEX "cloud_connection_changes_marked_at_idx" ON "cloud_connection_changes"("marked_at");

-- The rest cannot be expressed in Prisma's schema language. A host with its own Prisma client needs all of this file in
-- a migration of its own: without it a revoked connection would remain in use.

-- The table has no primary key. Without a replica identity a publication FOR ALL TABLES would make every UPDATE and
-- DELETE of it fail.
ALTER TABLE "cloud_connection_changes" REPLICA IDENTITY FULL;

-- Logs and notifies each change that an instance must know. Instances poll the log; notifications may be lost and only
-- bring the next poll forward.
--
-- The function runs with the privileges of the role that changes the connection (SECURITY INVOKER), which therefore
-- needs INSERT on the log. Without that privilege the change itself fails; it is never made without its log entry.
CREATE OR REPLACE FUNCTION "cloud_connections_announce"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  -- The schema of the trigger's own table, since pg_restore runs with an empty search_path, and a temporary table of
  -- the same name would come first on any other.
  insertion text := format('INSERT INTO %I."cloud_connection_changes" ("connection_id", "user_id", "provider")'
    ' VALUES ($1, $2, $3)', TG_TABLE_SCHEMA);
  payload text;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    -- No ids: all connections have changed. The payload says the same.
    EXECUTE insertion USING NULL::text, NULL::text, NULL::text;
    PERFORM pg_notify('cloud_connections', '{}');
    RETURN NULL;
  END IF;

  -- A row that moves to another id, user or provider is removed from its old one.
  IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND
    (OLD."id", OLD."user_id", OLD."provider") IS DISTINCT FROM (NEW."id", NEW."user_id", NEW."provider"))
  THEN
    EXECUTE insertion USING OLD."id", OLD."user_id", OLD."provider";
    payload := json_build_object(
      'id', OLD."id", 'userId', OLD."user_id", 'provider', OLD."provider", 'version', OLD."version", 'deleted', true);
    -- A payload of 8000 bytes or more is an error, which would roll the change back.
    PERFORM pg_notify('cloud_connections', CASE WHEN octet_length(payload) < 8000 THEN payload ELSE '{}' END);
  END IF;

  IF TG_OP <> 'DELETE' THEN
    EXECUTE insertion USING NEW."id", NEW."user_id", NEW."provider";
    payload := json_build_object(
      'id', NEW."id", 'userId', NEW."user_id", 'provider', NEW."provider", 'version', NEW."version");
    PERFORM pg_notify('cloud_connections', CASE WHEN octet_length(payload) < 8000 THEN payload ELSE '{}' END);
  END IF;

  RETURN NULL;
END
$$;

CREATE TRIGGER "cloud_connections_announce_insert" AFTER INSERT ON "cloud_connections"
  FOR EACH ROW EXECUTE FUNCTION "cloud_connections_announce"();

-- Labels, verifications, uses and refreshed tokens change nothing that instances hold.
DROP TRIGGER "cloud_connections_announce_update" ON "cloud_connections";
CREATE TRIGGER "cloud_connections_announce_update" AFTER UPDATE ON "cloud_connections"
  FOR EACH ROW WHEN (
    (OLD."version", OLD."is_default", OLD."id", OLD."user_id", OLD."provider") IS DISTINCT FROM
    (NEW."version", NEW."is_default", NEW."id", NEW."user_id", NEW."provider")
  )
  EXECUTE FUNCTION "cloud_connections_announce"();

-- TRUNCATE fires no row triggers.
CREATE TRIGGER "cloud_connections_announce_truncate" AFTER TRUNCATE ON "cloud_connections"
  FOR EACH STATEMENT EXECUTE FUNCTION "cloud_connections_announce"();

-- ALWAYS: changes that arrive through logical replication, or with session_replication_role = replica, are logged too.
ALTER TABLE "cloud_connections" ENABLE ALWAYS TRIGGER "cloud_connections_announce_insert";
ALTER TABLE "cloud_connections" ENABLE ALWAYS TRIGGER "cloud_connections_announce_update";
ALTER TABLE "cloud_connections" ENABLE ALWAYS TRIGGER "cloud_connections_announce_delete";
ALTER TABLE "cloud_connections" ENABLE ALWAYS TRIGGER "cloud_connections_announce_truncate";

-- Roles that may write connections get INSERT on the log, and those with all four privileges get all four. Otherwise
-- running instances could change no connection between this migration and an administrator's GRANT.
DO $$
DECLARE
  role record;
BEGIN
  FOR role IN
    SELECT grantee, bool_or(is_whole_table AND privilege_type = 'SELECT')
      AND bool_or(is_whole_table AND privilege_type = 'INSERT')
      AND bool_or(is_whole_table AND privilege_type = 'UPDATE')
      AND bool_or(is_whole_table AND privilege_type = 'DELETE') AS has_all
    FROM (
      SELECT grantee, privilege_type, true AS is_whole_table FROM pg_class, aclexplode(relacl)
      WHERE oid = '"cloud_connections"'::regclass
      UNION ALL
      SELECT grantee, privilege_type, false FROM pg_attribute, aclexplode(attacl)
      WHERE attrelid = '"cloud_connections"'::regclass
    ) AS privileges
    GROUP BY grantee
    HAVING bool_or(privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'))
  LOOP
    EXECUTE format(
      'GRANT %s ON "cloud_connection_changes" TO %s',
      CASE WHEN role.has_all THEN 'SELECT, INSERT, UPDATE, DELETE' ELSE 'INSERT' END,
      CASE WHEN role.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(role.grantee)) END
    );
  END LOOP;
END
$$;
