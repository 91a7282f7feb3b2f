import type { Test } from 'tap'
import { parseTokens, serialiseTokens } from '../../../src/connections/tokens.ts'
import type { Listing } from '../../../src/core/entry.ts'
import type { OAuthProvider } from '../../../src/core/provider.ts'
import type { StorageBackend } from '../../../src/core/backend.ts'
import type { CloudStorageOptions, ConnectionEvent } from '../../../src/index.ts'
import { createCredentialCipher } from '../../../src/crypto/credentials.ts'
import { createKeyRing } from '../../../src/crypto/key-ring.ts'
import { encryption, testApp } from './app.ts'

export const CLOUD_PUBLIC_URL = 'https://app.example.org'

export function cloudRedirectUri(providerId: string): string {
  return `${CLOUD_PUBLIC_URL}/cloud/connections/${providerId}/callback`
}

export interface CloudAppOptions {
  /** Configured for a fake. */
  readonly provider: OAuthProvider
  readonly registration: {
    readonly clientId: string
    readonly clientSecret: string
    readonly scopes?: readonly string[]
  }
  /** The origins of the fakes. */
  readonly origins: readonly string[]
  /** Simulates the user's browser at the provider. Returns the callback URL. */
  readonly consent: (authorizationUrl: string) => Promise<URL>
  readonly transfers?: boolean
  readonly spool?: CloudStorageOptions['spool']
}

/** The parts of a response that tests check. */
export interface CloudAppResponse {
  readonly status: number
  readonly body: string
  readonly location: string | undefined
  readonly json: () => unknown
}

/**
 * An app with a cloud and a route for documents, and its user ann with a browser. Records all responses and log
 * lines, so that tests can search them for secrets.
 */
export async function startCloudApp(t: Test, options: CloudAppOptions) {
  const { provider, registration, origins, consent, transfers = false, spool = {} } = options
  const { id: providerId } = provider
  const log: string[] = []
  const responses: string[] = []
  const events: ConnectionEvent[] = []
  /** The state and the nonce of each flow. */
  const flowSecrets: string[] = []
  const allowHosts = origins.map((url) => new URL(url).host)
  const base = await testApp(
    t,
    {
      publicUrl: CLOUD_PUBLIC_URL,
      transfers,
      spool,
      onConnectionChange: (event) => events.push(event),
      providers: { [providerId]: { provider, ...registration, allowHosts } }
    },
    { logger: { level: 'trace', stream: { write: (line: string) => log.push(line) } } }
  )
  const { app, db } = base
  await db.prisma.oAuthState.deleteMany()
  const preHandler = app.storageBackendHook({
    document: (request, user) =>
      db.prisma.document.findFirst({ where: { id: (request.params as { id: string }).id, userId: user.id } })
  })
  app.get('/documents/:id', { preHandler }, async ({ storageBackend, storageDocument }, reply) => {
    const { body } = await storageBackend.download(storageDocument.objectKey, { signal: new AbortController().signal })
    return reply.send(body)
  })

  const record = (response: { statusCode: number; body: string; headers: NodeJS.Dict<unknown> }): CloudAppResponse => {
    const { location } = response.headers
    responses.push(response.body, JSON.stringify(response.headers))
    return {
      status: response.statusCode,
      body: response.body,
      location: location as string | undefined,
      json: () => JSON.parse(response.body) as unknown
    }
  }
  const get = async (url: string) => record(await base.as('ann').get(url))

  const authorize = async (user = 'ann') => {
    const response = await base.as(user).send('POST', `/cloud/connections/${providerId}/authorize`)
    if (response.statusCode !== 200) throw new Error(`authorize answered ${response.body}`)
    const { authorizationUrl } = response.json<{ authorizationUrl: string }>()
    const [cookie = ''] = String(response.headers['set-cookie']).split(';')
    flowSecrets.push(new URL(authorizationUrl).searchParams.get('state') ?? '', cookie.split('=')[1] ?? '')
    return { authorizationUrl, cookie }
  }

  /** The callback in the browser: it sends its cookie, but no `x-user`. */
  const sendCallback = async (callback: URL, cookie: string) => {
    if (callback.origin !== CLOUD_PUBLIC_URL) throw new Error(`the browser is sent to ${callback.origin}`)
    return record(await app.inject({ url: callback.pathname + callback.search, headers: { cookie } }))
  }

  return {
    app,
    events,
    authorize,
    sendCallback,
    /** Runs the whole flow, from the button to the browser's last response. */
    connect: async (user = 'ann') => {
      const { authorizationUrl, cookie } = await authorize(user)
      return sendCallback(await consent(authorizationUrl), cookie)
    },
    list: (query: Record<string, string> = {}) =>
      get(`/cloud/${providerId}/listing?${new URLSearchParams(query).toString()}`),
    connections: async () => {
      const response = (await get('/cloud/connections')).json()
      const { connections } = response as { connections: { id: string; status: string }[] }
      return connections
    },
    disconnect: async (id: string) => record(await base.as('ann').send('DELETE', `/cloud/connections/${id}`)),
    download: async (objectKey: string) => {
      const data = { userId: 'ann', storageBackend: providerId, objectKey, name: 'a file' }
      const { id } = await db.prisma.document.create({ data })
      return get(`/documents/${id}`)
    },
    /** The user's backend, as the host's own code obtains it. */
    backend: (): Promise<StorageBackend> =>
      app.getStorageBackendForDocument(
        { id: 'document', userId: 'ann', storageBackend: providerId, objectKey: 'unused' },
        { id: 'ann' }
      ),
    row: (id: string) => db.prisma.cloudConnection.findUniqueOrThrow({ where: { id } }),
    /** Ages the row as if its access token had expired while the process was suspended. */
    expireAccessToken: async (id: string) => {
      const cipher = createCredentialCipher(createKeyRing(encryption))
      const { credentials, userId, provider } = await db.prisma.cloudConnection.findUniqueOrThrow({ where: { id } })
      const binding = { userId, provider, id }
      const tokens = parseTokens(cipher.open(credentials, binding))
      const expired = { ...tokens, obtainedAt: Date.now() - 3_601_000, expiresAt: Date.now() - 1000 }
      const resealed = cipher.seal(serialiseTokens(expired), binding)
      await db.prisma.cloudConnection.update({ where: { id }, data: { credentials: resealed } })
    },
    /** Returns the secrets in the log or a response. Excludes authorize, which must return some. */
    findLeaks: (secrets: readonly string[]): string[] => {
      const everything = [...responses, ...log].join('\n')
      return [...flowSecrets, ...secrets].filter((secret) =>
        [secret, encodeURIComponent(secret)].some((text) => everything.includes(text))
      )
    }
  }
}

export const namesOf = (response: CloudAppResponse) => (response.json() as Listing).entries.map(({ name }) => name)
