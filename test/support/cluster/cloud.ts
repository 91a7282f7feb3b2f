import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { monotonicMs } from './clock.ts'
import { Deferred } from '../time/deferred.ts'

/** The state of the cloud at the time of a listing request, encoded in the listing. */
export interface CloudSnapshot {
  readonly account: string
  readonly token: string
  /** The number of changes to the account's files. */
  readonly epoch: number
  /** By {@link monotonicMs}. */
  readonly at: number
}

export interface CloudCall {
  readonly folder: string
  readonly token: string
}

/** A response body that is sent slowly and never ends by itself. */
export interface CloudStream {
  readonly token: string
  /** When its socket was closed, by {@link monotonicMs}. */
  closedAt: number | null
}

/** A change of one folder. */
export interface CloudChange {
  readonly folder: string
  /** By {@link monotonicMs}. */
  readonly at: number
}

/** Holds back the responses for one folder. */
export interface CloudGate {
  /** The number of held responses. */
  heldCount: number
  readonly release: () => void
  /** Resolved by `release`. */
  readonly released: Promise<void>
}

const DRIP_INTERVAL_MS = 20
const DRIP_CHUNK = Buffer.alloc(1024, 'x')

/** Returns the name of a listing's only file, which encodes the state of the cloud. */
export function encodeSnapshot({ account, token, epoch, at }: CloudSnapshot): string {
  return `account:${account} token:${token} epoch:${epoch} at:${at}`
}

/** @throws Error for any other name */
export function parseSnapshot(name: string): CloudSnapshot {
  const [, account = '', token = '', epoch, at] = /^account:(\S+) token:(\S+) epoch:(\d+) at:([\d.]+)$/.exec(name) ?? []
  if (account === '') throw new Error(`Not a file of the cloud: ${name}`)
  return { account, token, epoch: Number(epoch), at: Number(at) }
}

/** A cloud with many accounts in the test's process. Records its calls, and can delay or hold its responses. */
export class ClusterCloud {
  readonly calls: CloudCall[] = []
  readonly streams: CloudStream[] = []
  /** When the feed of an account was read, by {@link monotonicMs}. */
  readonly checkTimes: number[] = []
  /** The feed reports a change so much later, in milliseconds. Listings show it at once. */
  feedLagMs = 0
  /** The delay of a response. */
  delayMs: (folder: string) => number = () => 0
  readonly #accounts = new Map<string, string>()
  readonly #epochs = new Map<string, number>()
  readonly #changes = new Map<string, CloudChange[]>()
  readonly #gates = new Map<string, CloudGate>()
  readonly #server = createServer((request, response) => {
    this.#handle(request, response)
  })

  /** Stops at teardown. */
  static async start(t: Test): Promise<ClusterCloud> {
    const cloud = new ClusterCloud()
    const server = cloud.#server
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
    return cloud
  }

  get origin(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`
  }

  /** Issues a new token for an account. Earlier tokens stay valid. */
  issue(account: string): string {
    const token = `${account}.${this.#accounts.size}`
    this.#accounts.set(token, account)
    return token
  }

  /** Changes the account's files. */
  advance(account: string): number {
    const epoch = this.#epochOf(account) + 1
    this.#epochs.set(account, epoch)
    return epoch
  }

  /** Changes one folder of an account, and reports it in the account's feed. */
  change(account: string, folder: string): void {
    this.#changes.set(account, [...this.changesOf(account), { folder, at: monotonicMs() }])
  }

  /** Returns the changes of single folders, oldest first. */
  changesOf(account: string, folder?: string): readonly CloudChange[] {
    const changes = this.#changes.get(account) ?? []
    return folder === undefined ? changes : changes.filter((change) => change.folder === folder)
  }

  /** Holds all later requests for the folder. */
  hold(folder: string): CloudGate {
    const { promise: released, resolve } = new Deferred<undefined>()
    const gate: CloudGate = {
      heldCount: 0,
      released: released.then(() => undefined),
      release: () => {
        if (this.#gates.get(folder) === gate) this.#gates.delete(folder)
        resolve(undefined)
      }
    }
    this.#gates.set(folder, gate)
    return gate
  }

  callCount(folder: string): number {
    return this.calls.filter((call) => call.folder === folder).length
  }

  #epochOf(account: string): number {
    return this.#epochs.get(account) ?? 0
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
    const account = this.#accounts.get(token)
    const [, kind, folder = ''] = (request.url ?? '').split('/')
    if (account === undefined) sendJson(response, 401, {})
    else if (kind === 'account') sendJson(response, 200, { id: account })
    else if (kind === 'content') this.#drip(response, token)
    else if (kind === 'changes') this.#report(response, account, folder)
    else void this.#list(response, decodeURIComponent(folder), { account, token })
  }

  async #list(
    response: ServerResponse,
    folder: string,
    caller: Pick<CloudSnapshot, 'account' | 'token'>
  ): Promise<void> {
    this.calls.push({ folder, token: caller.token })
    const epoch = this.#epochOf(caller.account) + this.changesOf(caller.account, folder).length
    const snapshot = { ...caller, epoch, at: monotonicMs() }
    const gate = this.#gates.get(folder)
    if (gate !== undefined) {
      gate.heldCount += 1
      await gate.released
    }
    setTimeout(() => {
      sendJson(response, 200, { name: encodeSnapshot(snapshot) })
    }, this.delayMs(folder))
  }

  /** @param since a position; without one the response contains the current position and no changes */
  #report(response: ServerResponse, account: string, since: string): void {
    const now = monotonicMs()
    const visible = this.changesOf(account).filter(({ at }) => at <= now - this.feedLagMs)
    if (since !== '') this.checkTimes.push(now)
    const folders = since === '' ? [] : visible.slice(Number(since)).map(({ folder }) => folder)
    sendJson(response, 200, { position: String(visible.length), folders })
  }

  #drip(response: ServerResponse, token: string): void {
    const stream: CloudStream = { token, closedAt: null }
    this.streams.push(stream)
    response.writeHead(200, { 'content-type': 'application/octet-stream' })
    const timer = setInterval(() => response.write(DRIP_CHUNK), DRIP_INTERVAL_MS)
    response.once('close', () => {
      clearInterval(timer)
      stream.closedAt = monotonicMs()
    })
  }
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}
