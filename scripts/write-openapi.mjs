// Writes what the server says of itself to openapi.json.
import { writeFileSync } from 'node:fs'
import { describeServer } from '../src/server/describe-server.ts'

writeFileSync(new URL('../openapi.json', import.meta.url), await describeServer())
