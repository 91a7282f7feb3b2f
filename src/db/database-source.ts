import type pg from 'pg'

/** An open database: a PostgreSQL server, or the embedded one. */
export interface DatabaseSource {
  readonly pool: pg.Pool
  /** Opens a connection outside of the pool, for uses that need a session of their own. The caller ends it. */
  connect(): Promise<pg.Client>
  close(): Promise<void>
}
