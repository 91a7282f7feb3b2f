import tap, { type Test } from 'tap'
import { openDatabase, type Database } from '../../../src/db/open-database.ts'
import { migratedImage } from './database-image.ts'

/** Opens an in-memory database that the test may close or alter. Takes 80 times as long as {@link emptyDatabase}. */
export async function ownDatabase(t: Test): Promise<Database> {
  const database = await openDatabase({ image: await migratedImage() })
  t.teardown(() => database.close())
  return database
}

let shared: Promise<Database> | undefined

/** Empties and returns the in-memory database of this process. The tests of a process run one after the other. */
export async function emptyDatabase(): Promise<Database> {
  shared ??= ownDatabase(tap)
  const database = await shared
  await database.prisma.$executeRaw`TRUNCATE cloud_connections, cloud_connection_changes, documents, oauth_states`
  return database
}
