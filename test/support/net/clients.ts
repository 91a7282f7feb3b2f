import { type RequestListener, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Test } from 'tap'
import type { Egress } from '../../../src/core/egress.ts'
import type { StorageErrorCode } from '../../../src/errors.ts'
import type { Timeouts } from '../../../src/core/stores.ts'
import { Secret } from '../../../src/core/secret.ts'
import { connectionFailure } from '../../../src/net/errors.ts'
import { createOAuthClient } from '../../../src/oauth/client.ts'
import { openS3 } from '../../../src/providers/s3/index.ts'
import { readSettings } from '../../../src/providers/s3/settings.ts'
import { EMPTY_LISTING, type NetServer, type NetServerOptions, startServer } from './server.ts'
import { oauthConnect } from '../app/oauth-cloud.ts'
import { readBody } from '../app/read-body.ts'
import { TEST_TIMEOUTS } from '../time/timeouts.ts'

export interface NetCall {
  readonly signal?: AbortSignal
  readonly timeouts?: Partial<Timeouts>
}

/** A client that sends its calls through the egress. */
export interface NetClient {
  readonly name: string
  /** Makes one GET or POST call to a server at an origin, and reads the response. */
  call(egress: Egress, origin: string, options?: NetCall): Promise<void>
  /** Maps an error code of the egress to the one that the client's caller receives. */
  mapCode(code: StorageErrorCode): StorageErrorCode
}

const unchanged = (code: StorageErrorCode): StorageErrorCode => code

const neverAborted = new AbortController().signal

const egressClient: NetClient = {
  name: 'our client',
  async call(egress, origin, { signal = neverAborted } = {}) {
    const response = await egress.request({ method: 'GET', url: new URL('/x', origin), signal })
    await readBody(response.body)
  },
  mapCode: unchanged
}

const s3: NetClient = {
  name: 'the S3 SDK',
  async call(egress, origin, { signal = neverAborted, timeouts } = {}) {
    const keys = { accessKeyId: 'AK', secretAccessKey: 'SK' }
    const backend = await openS3(readSettings({ endpoint: origin, bucket: 'bucket', ...keys }), {
      agents: egress.agents,
      transferAgents: egress.transferAgents,
      timeouts: { ...TEST_TIMEOUTS, ...timeouts }
    })
    await backend.listFolder(null, { signal, limit: 10 })
  },
  mapCode: unchanged
}

/** Refreshes a token, which is a POST with secrets. */
const oauth: NetClient = {
  name: 'the OAuth client',
  async call(egress, origin, { signal = neverAborted } = {}) {
    const settings = { clientId: 'client', clientSecret: new Secret('SECRET-of-client') }
    const client = createOAuthClient(oauthConnect(origin), settings, egress)
    await client.refresh(new Secret('SECRET-refresh'), signal)
  },
  // A failure of the token endpoint says nothing about the grant.
  mapCode: (code) => (code === 'ENDPOINT_FORBIDDEN' ? code : 'PROVIDER_UNAVAILABLE')
}

/** Like an SDK that passes on the host as typed, before URL parsing normalises it. */
const agentClient: NetClient = {
  name: 'a client on the agents',
  async call({ agents }, origin, { signal = neverAborted } = {}) {
    const [, protocol = '', host = '', port = ''] = /^(https?:)\/\/\[?(.*?)\]?(?::(\d+))?$/.exec(origin) ?? []
    const isTls = protocol === 'https:'
    const headers = { host: `${encodeURIComponent(host)}:${port}` }
    const options = {
      host,
      port: port === '' ? undefined : port,
      signal,
      headers,
      path: '/x',
      agent: isTls ? agents.https : agents.http
    }
    await new Promise<void>((resolve, reject) => {
      const request = (isTls ? requestHttps : requestHttp)(options, (response) => {
        response.resume().on('end', resolve).on('error', reject)
      })
      request.on('error', (error) => {
        reject(signal.aborted ? error : connectionFailure(error, 'A client'))
      })
      request.end()
    })
  },
  mapCode: unchanged
}

/** Clients for tests of the egress. Each test must hold for all of them. */
export const NET_CLIENTS: readonly NetClient[] = [egressClient, s3, oauth]
/** The same, and a client that uses the agents directly. */
export const SOCKET_CLIENTS: readonly NetClient[] = [...NET_CLIENTS, agentClient]

/** The clients based on undici. */
export const FETCH_CLIENTS: readonly NetClient[] = [egressClient, oauth]

/** A response that satisfies each of the clients. */
export const respondToAnyClient: RequestListener = ({ method }, response) => {
  const isPost = method === 'POST'
  response.setHeader('content-type', isPost ? 'application/json' : 'application/xml')
  response.end(isPost ? '{"access_token":"SECRET-access","token_type":"bearer"}' : EMPTY_LISTING)
}

/** Starts a server with that response. */
export async function startRespondingServer(t: Test, options?: NetServerOptions): Promise<NetServer> {
  const server = await startServer(t, options)
  server.respond = respondToAnyClient
  return server
}
