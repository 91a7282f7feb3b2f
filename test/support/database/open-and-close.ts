// Opens the database of its first argument, which runs the migrations, and exits.
import { openDatabase } from '../../../src/db/open-database.ts'

const database = await openDatabase({ url: process.argv[2] })
await database.close()
