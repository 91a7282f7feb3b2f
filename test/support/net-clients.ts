import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Egress } from '../../src/domain/egress.ts'
import { isStorageError, type StorageError } from '../../src/domain/errors.ts'
import type { Timeouts } from '../../src/domain/ports.ts'
import { connectionFailure } from '../../src/infra/net/connection-failure.ts'
import { openS3 } from '../../src/providers/s3/open.ts'
import { readSettings } from '../../src/providers/s3/settings.ts'
import { readBody } from './read-body.ts'
import { TEST_TIMEOUTS } from './timeouts.ts'

export interface NetCall {
  readonly signal?: AbortSignal
  readonly timeouts?: Partial<Timeouts>
}

/** Somebody whose calls leave the process. */
export interface NetClient {
  readonly name: string
  /** Makes one call, of GET, to what listens at an origin, and reads its answer. */
  call(egress: Egress, origin: string, options?: NetCall): Promise<void>
}

const never = new AbortController().signal

const ours: NetClient = {
  name: 'our client',
  async call(egress, origin, { signal = never } = {}) {
    const answer = await egress.request({ method: 'GET', url: new URL('/x', origin), signal })
    await readBody(answer.body)
  }
}

const s3: NetClient = {
  name: 'the S3 SDK',
  async call(egress, origin, { signal = never, timeouts } = {}) {
    const keys = { accessKeyId: 'AK', secretAccessKey: 'SK' }
    const backend = await openS3(readSettings({ endpoint: origin, bucket: 'bucket', ...keys }), {
      agents: egress.agents,
      timeouts: { ...TEST_TIMEOUTS, ...timeouts }
    })
    await backend.listFolder(null, { signal, limit: 10 })
  }
}

/** As an SDK that hands over a host as it was typed, before a URL has made something of it. */
const node: NetClient = {
  name: 'a client on the agents',
  async call({ agents }, origin, { signal = never } = {}) {
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
  }
}

/** What each case about the way out must hold for. */
export const NET_CLIENTS: readonly NetClient[] = [ours, s3]
/** The same, and whoever else takes the agents. */
export const SOCKET_CLIENTS: readonly NetClient[] = [...NET_CLIENTS, node]

/** How a call fails; anything but a StorageError fails the test. */
export async function failureOf(call: Promise<unknown>): Promise<StorageError> {
  try {
    await call
  } catch (error) {
    if (isStorageError(error)) return error
    throw error
  }
  throw new Error('The call was expected to fail')
}
