import type pg from 'pg'

/** Where a database is reached: a PostgreSQL server, or the embedded one. */
export interface DatabaseSource {
  readonly pool: pg.Pool
  /** A connection beside the pool, for what needs a session of its own. The caller ends it. */
  connect(): Promise<pg.Client>
  close(): Promise<void>
}
