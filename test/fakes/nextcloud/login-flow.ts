import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { DavMistake } from '../dav/failure.ts'
import type { FakeDavRequest } from '../dav/request.ts'
import { sendJson } from '../fake-server.ts'

/** A login flow, which gives an application its own password. */
export interface FakeFlow {
  readonly token: string
  /** The address for the user's browser. */
  readonly login: string
  /** The application's User-Agent; the user sees it when asked to grant access. */
  readonly userAgent: string | undefined
  /** Undefined until access is granted. */
  appPassword: string | undefined
}

/** Addresses that a server could return in place of its own. */
export interface FlowOverrides {
  pollEndpoint?: string
  login?: string
  server?: string
}

const START = '/index.php/login/v2'
const POLL = '/index.php/login/v2/poll'

/** Nextcloud's Login Flow v2. */
export class FakeLoginFlows {
  /** All flows, finished ones included. */
  readonly flows: FakeFlow[] = []
  readonly overrides: FlowOverrides = {}
  readonly #open = new Map<string, FakeFlow>()
  readonly #loginName: string

  constructor(loginName: string) {
    this.#loginName = loginName
  }

  /** `path` is relative to `base`, the URL of the Nextcloud. */
  serve(base: string, path: string, request: FakeDavRequest, response: ServerResponse): boolean {
    if (path !== START && path !== POLL) return false
    if (request.method !== 'POST') throw new DavMistake(405, 'a login flow without POST')
    if (request.headers['authorization'] !== undefined) throw new DavMistake(400, 'credentials in a login flow')
    if (request.query.size > 0) throw new DavMistake(400, 'a query in a login flow')
    if (path === START) this.#start(base, request, response)
    else this.#poll(base, request, response)
    return true
  }

  /** Simulates the user's consent in the browser. The next poll returns the password, once. */
  grant(flow: FakeFlow, appPassword: string): void {
    flow.appPassword = appPassword
  }

  #start(base: string, { headers, body }: FakeDavRequest, response: ServerResponse): void {
    if (body !== undefined && body.length > 0) throw new DavMistake(400, 'a body at the beginning of a login flow')
    const token = randomBytes(64).toString('hex')
    const login = this.overrides.login ?? `${base}${START}/flow/${randomBytes(16).toString('hex')}`
    const flow: FakeFlow = { token, login, userAgent: headers['user-agent'], appPassword: undefined }
    this.flows.push(flow)
    this.#open.set(token, flow)
    sendJson(response, 200, { poll: { token, endpoint: this.overrides.pollEndpoint ?? base + POLL }, login })
  }

  #poll(base: string, { headers, body }: FakeDavRequest, response: ServerResponse): void {
    const isForm = /^application\/x-www-form-urlencoded(?:;|$)/.test(headers['content-type'] ?? '')
    const form = new URLSearchParams(body?.toString())
    if (!isForm || [...form.keys()].join() !== 'token') throw new DavMistake(400, 'a poll that is no form with a token')
    const flow = this.#open.get(form.get('token') ?? '')
    if (flow?.appPassword === undefined) {
      sendJson(response, 404, [])
      return
    }
    this.#open.delete(flow.token)
    const server = this.overrides.server ?? base
    sendJson(response, 200, { server, loginName: this.#loginName, appPassword: flow.appPassword })
  }
}
