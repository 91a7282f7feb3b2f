// Writes the server's description to openapi.json, and the types of the client that follow from it.
import { writeFileSync } from 'node:fs'
import openapiTS, { astToString } from 'openapi-typescript'
import { describeServer } from '../src/server/describe-server.ts'
import { readArguments } from '../src/server/program-arguments.ts'

const ROOT = new URL('../', import.meta.url)
const HEADER = '// Made by `npm run openapi` of openapi.json.\n'

/** Returns the types of a document in JSON. */
export async function typesOf(document: string): Promise<string> {
  return HEADER + astToString(await openapiTS(document))
}

if (process.argv[1] === import.meta.filename) {
  readArguments('Usage: npm run openapi\n\nWrites openapi.json and src/client/api-types.ts.')
  const document = await describeServer()
  writeFileSync(new URL('openapi.json', ROOT), document)
  writeFileSync(new URL('src/client/api-types.ts', ROOT), await typesOf(document))
}
