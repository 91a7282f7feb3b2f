// A process that opens the database of its first argument, migrations included, and ends.
import { openDatabase } from '../../src/infra/db/open-database.ts'

const database = await openDatabase({ url: process.argv[2] })
await database.close()
