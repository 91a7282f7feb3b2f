#!/usr/bin/env node
// Prisma's schema engine for the `prisma migrate` commands, without its native binary (which is not on npm): the
// same engine as WebAssembly, behind the JSON-RPC on stdio that the CLI expects. Name this file in
// PRISMA_SCHEMA_ENGINE_BINARY. The shadow database is a throw-away PGlite, so no server is needed for it.
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum, DriverAdapterError } from '@prisma/driver-adapter-utils'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import pg from 'pg'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  strict: false, // the CLI also passes options that concern other databases
  options: { datamodels: { type: 'string', multiple: true }, datasource: { type: 'string' } }
})
const datasource = options.datasource === undefined ? {} : JSON.parse(options.datasource)

/** The types that the engine's introspection expects, also for catalog types like `"char"` and `name`. */
const COLUMN_TYPES = {
  16: ColumnTypeEnum.Boolean,
  18: ColumnTypeEnum.Character,
  19: ColumnTypeEnum.Text,
  20: ColumnTypeEnum.Int64,
  21: ColumnTypeEnum.Int32,
  23: ColumnTypeEnum.Int32,
  25: ColumnTypeEnum.Text,
  26: ColumnTypeEnum.Int64,
  1002: ColumnTypeEnum.TextArray,
  1003: ColumnTypeEnum.TextArray,
  1005: ColumnTypeEnum.Int32Array,
  1009: ColumnTypeEnum.TextArray,
  1043: ColumnTypeEnum.Text,
  1184: ColumnTypeEnum.DateTime,
  2278: ColumnTypeEnum.Text
}
const TIMESTAMPTZ = 1184
const TEXT_ARRAY = 1009

const typeParsers = {
  getTypeParser(oid, format) {
    if (oid === TIMESTAMPTZ) return (text) => new Date(text).toISOString()
    // pg has no parser for the array types of the catalog. Their text format is that of other arrays.
    return pg.types.getTypeParser(COLUMN_TYPES[oid] === ColumnTypeEnum.TextArray ? TEXT_ARRAY : oid, format)
  }
}

function driverError(error) {
  if (typeof error.severity !== 'string') return error
  const { code, severity, message, detail, column, hint } = error
  const base = { originalCode: code, originalMessage: message }
  if (code === '42P01') return new DriverAdapterError({ ...base, kind: 'TableDoesNotExist' })
  return new DriverAdapterError({ ...base, kind: 'postgres', code, severity, message, detail, column, hint })
}

/** Returns a driver adapter on one session, which the engine's advisory lock and its statements share. */
function sessionAdapter(client, dispose = async () => {}) {
  const run = async (query) => {
    try {
      return await client.query(query)
    } catch (error) {
      throw driverError(error)
    }
  }
  const queryable = {
    provider: 'postgres',
    adapterName: 'schema-engine',
    async queryRaw({ sql, args }) {
      const { fields, rows } = await run({ text: sql, values: args, rowMode: 'array' })
      const columnTypes = fields.map(({ name, dataTypeID }) => {
        const type = COLUMN_TYPES[dataTypeID]
        if (type === undefined) throw new Error(`no column type for "${name}" (oid ${dataTypeID})`)
        return type
      })
      return { columnNames: fields.map(({ name }) => name), columnTypes, rows }
    },
    executeRaw: async ({ sql, args }) => (await run({ text: sql, values: args })).rowCount ?? 0
  }
  return {
    ...queryable,
    getConnectionInfo: () => ({ schemaName: 'public', supportsRelationJoins: true }),
    // Sent as one simple query: Prisma's own adapter splits scripts at each `;`, even in function bodies.
    executeScript: async (script) => void (await run(script)),
    async startTransaction() {
      await run('BEGIN')
      // The engine itself sends COMMIT and ROLLBACK.
      return { ...queryable, options: { usePhantomQuery: false }, commit: async () => {}, rollback: async () => {} }
    },
    dispose
  }
}

async function connectServer(url) {
  const client = new pg.Client({ connectionString: url, types: typeParsers })
  await client.connect()
  return sessionAdapter(client, () => client.end())
}

async function connectScratch() {
  const { PGlite } = await import('@electric-sql/pglite')
  const { createPgConfig } = await import('@electric-sql/pglite/node-postgres')
  const db = await PGlite.create()
  const client = new pg.Client({ ...createPgConfig(db), types: typeParsers })
  await client.connect()
  return sessionAdapter(client, async () => {
    await client.end()
    await db.close()
  })
}

/** A stub: comparing files needs no database, but the engine requests the version of one. */
const nowhere = sessionAdapter({
  query: async () => ({
    fields: [
      { name: 'exists', dataTypeID: 16 },
      { name: 'version', dataTypeID: 25 },
      { name: 'numeric_version', dataTypeID: 23 }
    ],
    rows: [[true, 'PostgreSQL 15.0', 150000]]
  })
})

/** @param live true if the command concerns the configured database */
async function startEngine(live) {
  const require = createRequire(import.meta.url)
  const wasm = readFileSync(join(dirname(require.resolve('@prisma/schema-engine-wasm')), 'schema_engine_bg.wasm'))
  const bindings = await import('@prisma/schema-engine-wasm/schema_engine_bg')
  const { instance } = await WebAssembly.instantiate(wasm, { './schema_engine_bg.js': bindings })
  bindings.__wbg_set_wasm(instance.exports)
  instance.exports.__wbindgen_start()

  const factory = bindMigrationAwareSqlAdapterFactory({
    provider: 'postgres',
    adapterName: 'schema-engine',
    connect: async () => (live ? connectServer(datasource.url) : nowhere),
    connectToShadowDb: connectScratch
  })
  const datamodels = options.datamodels?.map((path) => [path, readFileSync(path, 'utf8')])
  return bindings.SchemaEngine.new({ datamodels }, () => {}, factory)
}

/** The message of a panic of the engine, which surfaces as a trap without a message. */
let panic
globalThis.PRISMA_WASM_PANIC_REGISTRY = { set_message: (message) => (panic = message) }

const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
const logError = (message, code) => {
  // The CLI drops the first line and reads the others.
  const entry = { level: 'ERROR', target: 'schema_engine::logger', fields: { message, error_code: code } }
  process.stderr.write(`\n${JSON.stringify(entry)}`)
}

let engine
async function answer({ id, method, params }) {
  try {
    const live =
      method !== 'diff' || [params.from, params.to].some(({ tag }) => tag === 'schemaDatasource' || tag === 'url')
    engine ??= await startEngine(live)
    const result =
      method === 'getDatabaseVersion' ? await engine.version(params) : ((await engine[method](params)) ?? {})
    if (method === 'diff' && typeof result.stdout === 'string') {
      send({ id: -id, method: 'print', params: { content: result.stdout } })
    }
    send({ id, result })
  } catch (error) {
    const message = panic ?? String(error?.message ?? error)
    send({
      id,
      error: { code: 4466, message, data: { is_panic: panic !== undefined, message, error_code: error?.code } }
    })
  }
}

async function serve() {
  process.on('uncaughtException', (error) => {
    logError(panic ?? String(error.stack))
    process.exit(1)
  })
  for await (const line of createInterface({ input: process.stdin })) {
    const message = line.trim() === '' ? {} : JSON.parse(line)
    // A message without a method acknowledges printed output.
    if (message.method !== undefined) await answer(message)
  }
  process.exit(0)
}

/** Implements `cli can-connect-to-database`: the CLI runs it before it migrates, and reads the error from the log. */
async function probe(command) {
  try {
    if (command !== 'can-connect-to-database') throw new Error(`${command}: create the database first`)
    await (await connectServer(datasource.url)).dispose()
  } catch (error) {
    logError(error.message, error.code === '3D000' ? 'P1003' : 'P1001')
    process.exitCode = 1
  }
}

const cli = positionals.indexOf('cli')
await (cli === -1 ? serve() : probe(positionals[cli + 1]))
