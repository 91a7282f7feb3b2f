import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { openDatabase } from '../../../src/db/open-database.ts'
import { ClusterCloud } from './cloud.ts'
import { ClusterProcess } from './process-client.ts'
import { ClusterRows } from './rows.ts'
import { PostgresProxy, type NotificationVerdict } from '../database/postgres-proxy.ts'
import { type PostgresReplica, type PostgresServer, startPostgres } from '../database/postgres.ts'
import { TcpProxy } from '../process/tcp-proxy.ts'

export interface ServeOptions {
  readonly leaseMs: number
  /** Whether the processes listen for changes. Default true. */
  readonly isListening?: boolean
  /** None by default. */
  readonly redisUrl?: string
  readonly isPolling?: boolean
  readonly readDelayMs?: number
  readonly checkMs?: number
}

/** The LISTEN connection of one process. */
export interface ClusterListener {
  /** The proxy between the process and the database. */
  readonly proxy: PostgresProxy
  /** The application name of its database sessions. */
  readonly applicationName: string
}

const PROCESS_COUNT = 4

/** Several processes of one service, with the database and the cloud that they share. */
export class ClusterWorld {
  /** The server behind the address of the database. */
  server: PostgresServer
  readonly database: TcpProxy
  readonly cloud: ClusterCloud
  readonly rows: ClusterRows
  readonly processes: readonly ClusterProcess[]
  readonly listeners: readonly ClusterListener[]
  /** The fate of each notification, chosen for each process separately. */
  verdict: () => NotificationVerdict = () => 'pass'
  /** Notifications that a process did not receive, or received late. */
  readonly messages = { lost: 0, late: 0 }
  readonly #url: string
  readonly #encryption: { readonly current: string; readonly keys: Readonly<Record<string, string>> }

  private constructor(
    parts: Pick<ClusterWorld, 'server' | 'database' | 'cloud' | 'rows' | 'processes' | 'listeners'>,
    url: string,
    encryption: { readonly current: string; readonly keys: Readonly<Record<string, string>> }
  ) {
    this.server = parts.server
    this.database = parts.database
    this.cloud = parts.cloud
    this.rows = parts.rows
    this.processes = parts.processes
    this.listeners = parts.listeners
    this.#url = url
    this.#encryption = encryption
    for (const { proxy } of this.listeners) proxy.onNotification = () => this.#decideNotification()
  }

  /** No process serves yet. Everything stops at teardown. */
  static async start(t: Test): Promise<ClusterWorld> {
    const server = await startPostgres(t)
    const database = await TcpProxy.start(t, { host: '127.0.0.1', port: server.port })
    const url = database.proxiedUrl(await server.createDatabase())
    await (await openDatabase({ url })).close()
    const encryption = { current: 'k1', keys: { k1: randomBytes(32).toString('base64') } }
    const cloud = await ClusterCloud.start(t)
    const rows = new ClusterRows(t, url, cloud, encryption)
    const indexes = Array.from({ length: PROCESS_COUNT }, (_, n) => n)
    const listeners = await Promise.all(
      indexes.map(async (n) => ({
        proxy: await PostgresProxy.start(t, { host: '127.0.0.1', port: database.port }),
        applicationName: `listener ${n}`
      }))
    )
    const processes = await Promise.all(indexes.map(() => ClusterProcess.start(t)))
    return new ClusterWorld({ server, database, cloud, rows, processes, listeners }, url, encryption)
  }

  /** Restarts all processes with empty caches, no rows, and all notifications delivered. */
  async serve(options: ServeOptions): Promise<void> {
    const { leaseMs, isListening = true, redisUrl, isPolling, readDelayMs, checkMs } = options
    this.verdict = () => 'pass'
    Object.assign(this.messages, { lost: 0, late: 0 })
    this.cloud.delayMs = () => 0
    await this.rows.clear()
    for (const { proxy } of this.listeners) {
      proxy.mode = 'relay'
      proxy.resetAll()
    }
    await Promise.all(
      this.processes.map(async (process, n) => {
        const listenUrl = isListening ? this.#listenUrl(this.listeners[n]!) : null
        await process.serve({
          url: this.#url,
          listenUrl,
          redisUrl: redisUrl ?? null,
          cloudOrigin: this.cloud.origin,
          encryption: this.#encryption,
          leaseMs,
          ...(isPolling !== undefined && { isPolling }),
          ...(readDelayMs !== undefined && { readDelayMs }),
          ...(checkMs !== undefined && { checkMs })
        })
      })
    )
  }

  /** Makes a replica the database. Its clients lose their sessions. */
  async failOverTo(replica: PostgresReplica): Promise<void> {
    await this.server.stop()
    await replica.promote()
    this.database.target = { host: '127.0.0.1', port: replica.port }
    this.database.resetAll()
    this.server = replica
  }

  #listenUrl({ proxy, applicationName }: ClusterListener): string {
    const url = new URL(proxy.proxiedUrl(this.#url))
    url.searchParams.set('application_name', applicationName)
    return url.href
  }

  #decideNotification(): NotificationVerdict {
    const verdict = this.verdict()
    if (verdict === 'drop') this.messages.lost += 1
    else if (verdict !== 'pass') this.messages.late += 1
    return verdict
  }
}
