import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'
import type { Test } from 'tap'
import { freePort, hasProgram, serverOwner, startDaemon } from '../process/daemon.ts'

/** A PostgreSQL server that belongs to one test: on loopback, in a temporary folder and on its own port. */
export interface PostgresServer {
  /** Creates a database. Returns its URL. */
  createDatabase(): Promise<string>
  /** Stops like an administrator: open connections are terminated. */
  stop(): Promise<void>
  /** Restarts the server with its data on the same port. */
  start(): Promise<void>
  /** Copies the server into a streaming replica, which stops at teardown. */
  startReplica(t: Test): Promise<PostgresReplica>
}

export interface PostgresReplica {
  /** Returns the address of a database of the primary, on the replica. */
  urlOf(primaryUrl: string): string
  /** Makes it a primary. */
  promote(): Promise<void>
}

/** The folder of `initdb` and `postgres`, from Debian's location or the PATH. */
const BIN_FOLDER = findBinaries()

/** PostgreSQL refuses to run as root, so root switches to the user that Debian's package creates. */
const USER = 'postgres'

export const isPostgresInstalled = BIN_FOLDER !== undefined

/** Runs a program until stdin ends, so that a killed test process, which runs no teardown, also stops its server. */
const UNTIL_STDIN_ENDS = '"$@" & server=$!; read -r _; kill -INT "$server"; wait "$server"'

/** Starts a server, and removes it at teardown. */
export async function startPostgres(t: Test): Promise<PostgresServer> {
  const cluster = await createCluster(t)
  const password = randomBytes(16).toString('hex')
  const passwordFile = join(cluster.folder, 'password')
  writeFileSync(passwordFile, password, { mode: 0o600 })
  chownToServer(passwordFile)
  const authentication = ['--username=test', '--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  cluster.run('initdb', ['-D', cluster.data, '--no-sync', '--encoding=UTF8', '--locale=C', ...authentication])
  await cluster.start()

  const urlOf = (port: number, database: string) => `postgres://test:${password}@127.0.0.1:${String(port)}/${database}`
  return {
    start: () => cluster.start(),
    stop: () => cluster.stop(),

    async createDatabase() {
      const name = `test_${randomUUID().replaceAll('-', '')}`
      await execute(urlOf(cluster.port, 'postgres'), `CREATE DATABASE ${name}`)
      return urlOf(cluster.port, name)
    },

    async startReplica(t) {
      const replica = await createCluster(t)
      const from = ['--dbname', urlOf(cluster.port, 'postgres')]
      const how = ['--write-recovery-conf', '--wal-method=stream', '--checkpoint=fast', '--no-sync']
      replica.run('pg_basebackup', ['-D', replica.data, ...from, ...how])
      await replica.start()
      return {
        urlOf: (primaryUrl) => Object.assign(new URL(primaryUrl), { port: String(replica.port) }).href,
        promote: () => execute(urlOf(replica.port, 'postgres'), 'SELECT pg_promote()')
      }
    }
  }
}

/** A data folder and its server process. */
interface Cluster {
  readonly folder: string
  readonly data: string
  readonly port: number
  /** Runs one of PostgreSQL's programs as the owner of the folder. */
  run(program: string, args: readonly string[]): void
  start(): Promise<void>
  stop(): Promise<void>
}

/** Creates a folder without data, which is removed at teardown. */
async function createCluster(t: Test): Promise<Cluster> {
  if (BIN_FOLDER === undefined) throw new Error('PostgreSQL is not installed')
  const binFolder = BIN_FOLDER
  const owner = serverOwner(USER)
  const folder = mkdtempSync(join(tmpdir(), 'fcs-postgres-'))
  const data = join(folder, 'data')
  const port = await freePort()
  let server: ChildProcess | undefined
  chownToServer(folder)

  const stop = async () => {
    if (server?.exitCode !== null) return
    const exited = once(server, 'exit')
    server.stdin?.end()
    await exited
  }
  t.teardown(async () => {
    await stop()
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    folder,
    data,
    port,
    stop,
    run(program, args) {
      execFileSync(join(binFolder, program), args, { ...owner, cwd: folder, stdio: 'ignore' })
    },
    async start() {
      const settings = {
        listen_addresses: '127.0.0.1',
        port: String(port),
        unix_socket_directories: '',
        fsync: 'off',
        // Not UTC, to detect times that depend on the session's time zone.
        timezone: 'Asia/Kolkata'
      }
      const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
      server = spawn('sh', ['-c', UNTIL_STDIN_ENDS, 'sh', join(binFolder, 'postgres'), '-D', data, ...flags], {
        ...owner,
        cwd: folder,
        stdio: ['pipe', 'ignore', 'pipe']
      })
      await waitUntilReady(server)
    }
  }
}

async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  await client.query(statement)
  await client.end()
}

export const isPgBouncerInstalled = hasProgram('pgbouncer')

/** Starts PgBouncer in transaction mode with two server connections. Returns the URL of the database behind it. */
export async function startPgBouncer(t: Test, url: string): Promise<string> {
  const { username, password, hostname, port, pathname } = new URL(url)
  const folder = mkdtempSync(join(tmpdir(), 'fcs-pgbouncer-'))
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const listenPort = await freePort()
  const users = join(folder, 'users.txt')
  const config = join(folder, 'pgbouncer.ini')
  writeFileSync(users, `"${username}" "${password}"\n`)
  writeFileSync(
    config,
    `[databases]
* = host=${hostname} port=${port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${String(listenPort)}
unix_socket_dir =
auth_type = plain
auth_file = ${users}
pool_mode = transaction
default_pool_size = 2
${process.getuid?.() === 0 ? `user = ${USER}` : ''}
`
  )
  chownToServer(folder, users, config)
  await startDaemon(t, { command: ['pgbouncer', config], env: {}, port: listenPort, log: join(folder, 'log') })
  return `postgres://${username}:${password}@127.0.0.1:${String(listenPort)}${pathname}`
}

function findBinaries(): string | undefined {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : []
  const folders = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(':')
  ]
  return folders.find((folder) => ['initdb', 'postgres'].every((name) => existsSync(join(folder, name))))
}

function chownToServer(...paths: readonly string[]): void {
  const owner = serverOwner(USER)
  if (owner !== undefined) for (const path of paths) chownSync(path, owner.uid, owner.gid)
}

async function waitUntilReady(server: ChildProcess): Promise<void> {
  if (server.stderr === null) throw new Error('stderr must be a pipe')
  const output: string[] = []
  for await (const line of createInterface({ input: server.stderr })) {
    if (/ready to accept (read-only )?connections/.test(line)) {
      // Otherwise the pipe would fill up, and the server would block on its next line.
      server.stderr.resume()
      return
    }
    output.push(line)
  }
  throw new Error(`PostgreSQL did not start:\n${output.join('\n')}`)
}
