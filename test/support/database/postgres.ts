import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import type { Test } from 'tap'
import { freePort, hasProgram, serverOwner, startDaemon } from '../process/daemon.ts'

/** A PostgreSQL server that belongs to one test: on loopback, in a temporary folder and on its own port. */
export interface PostgresServer {
  readonly port: number
  /** Creates a database. Returns its URL. */
  createDatabase(): Promise<string>
  /** Stops like an administrator: open connections are terminated. */
  stop(): Promise<void>
  /** Restarts the server with its data on the same port. */
  start(): Promise<void>
  /** Copies the server into a streaming replica, which stops at teardown. */
  startReplica(t: Test): Promise<PostgresReplica>
  /** Copies the data. The result restarts the server with the copy, and may be called once. */
  backUp(): Promise<() => Promise<void>>
}

export interface PostgresReplica extends PostgresServer {
  /** Returns the address of a database of the primary, on the replica. */
  urlOf(primaryUrl: string): string
  /** Resolves when it has applied all that the primary has committed. */
  catchUp(): Promise<void>
  /** Ends the replication: later changes of the primary are missing after `promote`. */
  disconnect(): Promise<void>
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

/**
 * Starts a server, and removes it at teardown.
 *
 * @param settings as in `postgresql.conf`
 */
export async function startPostgres(t: Test, settings: Settings = {}): Promise<PostgresServer> {
  const cluster = createCluster(t, await freePort(), settings)
  const password = randomBytes(16).toString('hex')
  const passwordFile = join(cluster.folder, 'password')
  writeFileSync(passwordFile, password, { mode: 0o600 })
  chownToServer(passwordFile)
  const authentication = ['--username=test', '--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  await cluster.run('initdb', ['-D', cluster.data, '--no-sync', '--encoding=UTF8', '--locale=C', ...authentication])
  await cluster.start()
  return serverOf(cluster, password)
}

type Settings = Readonly<Record<string, string>>

/** A data folder and its server process. */
interface Cluster {
  readonly folder: string
  readonly data: string
  readonly port: number
  readonly settings: Settings
  /** Runs a program as the owner of the folder. */
  run(program: string, args: readonly string[]): Promise<unknown>
  start(): Promise<void>
  stop(): Promise<void>
}

function serverOf(cluster: Cluster, password: string): PostgresServer {
  const { port, folder, data, settings } = cluster
  const urlOf = (port: number, database: string) => `postgres://test:${password}@127.0.0.1:${String(port)}/${database}`
  const maintenanceUrl = urlOf(port, 'postgres')
  const copyTo = (target: Cluster, into: string, ...more: readonly string[]) => {
    const how = ['--wal-method=stream', '--checkpoint=fast', '--no-sync', ...more]
    return target.run('pg_basebackup', ['-D', into, '--dbname', maintenanceUrl, ...how])
  }
  return {
    port,
    start: () => cluster.start(),
    stop: () => cluster.stop(),

    async createDatabase() {
      const name = `test_${randomUUID().replaceAll('-', '')}`
      await query(maintenanceUrl, `CREATE DATABASE ${name}`)
      return urlOf(port, name)
    },

    async backUp() {
      const backup = join(folder, `backup-${randomUUID()}`)
      await copyTo(cluster, backup)
      return async () => {
        await cluster.stop()
        rmSync(data, { recursive: true })
        renameSync(backup, data)
        await cluster.start()
      }
    },

    async startReplica(t) {
      const replica = createCluster(t, await freePort(), settings)
      await copyTo(replica, replica.data, '--write-recovery-conf')
      await replica.start()
      const replicaUrl = urlOf(replica.port, 'postgres')
      return {
        ...serverOf(replica, password),
        urlOf: (primaryUrl) => Object.assign(new URL(primaryUrl), { port: String(replica.port) }).href,
        async catchUp() {
          const [current] = await query(maintenanceUrl, 'SELECT pg_current_wal_lsn() AS position')
          const isReached = async () => {
            const position = String(current?.['position'])
            const [row] = await query(replicaUrl, `SELECT pg_last_wal_replay_lsn() >= '${position}' AS done`)
            return row?.['done'] === true
          }
          while (!(await isReached())) await setTimeout(20)
        },
        async disconnect() {
          await query(replicaUrl, "ALTER SYSTEM SET primary_conninfo = ''")
          await query(replicaUrl, 'SELECT pg_reload_conf()')
          const isReceiving = async () => (await query(replicaUrl, 'SELECT FROM pg_stat_wal_receiver')).length > 0
          while (await isReceiving()) await setTimeout(20)
        },
        async promote() {
          await query(replicaUrl, 'SELECT pg_promote()')
        }
      }
    }
  }
}

/** Creates a folder without data, which is removed at teardown. */
function createCluster(t: Test, port: number, settings: Settings): Cluster {
  if (BIN_FOLDER === undefined) throw new Error('PostgreSQL is not installed')
  const binFolder = BIN_FOLDER
  const owner = serverOwner(USER)
  const folder = mkdtempSync(join(tmpdir(), 'fcs-postgres-'))
  const data = join(folder, 'data')
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
    settings,
    stop,
    run: (program, args) => promisify(execFile)(join(binFolder, program), args, { ...owner, cwd: folder }),
    async start() {
      const allSettings = {
        listen_addresses: '127.0.0.1',
        port: String(port),
        unix_socket_directories: '',
        fsync: 'off',
        // Not UTC, to detect times that depend on the session's time zone.
        timezone: 'Asia/Kolkata',
        ...settings
      }
      const flags = Object.entries(allSettings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
      server = spawn('sh', ['-c', UNTIL_STDIN_ENDS, 'sh', join(binFolder, 'postgres'), '-D', data, ...flags], {
        ...owner,
        cwd: folder,
        stdio: ['pipe', 'ignore', 'pipe']
      })
      await waitUntilReady(server)
    }
  }
}

async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url)
  await client.connect()
  const { rows } = await client.query<Record<string, unknown>>(statement)
  await client.end()
  return rows
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
