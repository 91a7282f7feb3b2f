import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type * as ClientS3 from '@aws-sdk/client-s3'
import type { Account, Call } from '../../core/backend.ts'
import type { EgressAgents } from '../../core/egress.ts'
import type { Timeouts } from '../../core/stores.ts'
import { AGENT_OPTIONS } from '../../net/guarded-connection.ts'
import { userAgentWith } from '../../net/egress.ts'
import { mapErrors, type NotFoundCode } from '../shared/errors.ts'
import { importSdk } from '../shared/backend.ts'
import { Keys } from './entries.ts'
import { toStorageError } from './errors.ts'
import { readResponses } from './responses.ts'
import { accountIdOf, isAws, labelOf, type S3Settings } from './settings.ts'

/** The SDK's module, imported when the first bucket is opened. */
type S3Sdk = typeof ClientS3

/**
 * `native`: the server is known to check `If-Match` and `If-None-Match` of writes. `emulated`: it may ignore them, so
 * the backend checks before the write, and sends the headers as well.
 */
export type Preconditions = 'native' | 'emulated'

/** An open bucket, used by every operation. */
export interface S3Session {
  readonly sdk: S3Sdk
  readonly bucket: string
  readonly keys: Keys
  readonly account: Account
  readonly timeouts: Timeouts
  readonly preconditions: Preconditions
  /** For calls with prompt responses. */
  readonly client: ClientS3.S3Client
  /** For uploads: separate sockets, with the same idle timeout as `calls`. */
  readonly uploadClient: ClientS3.S3Client
  /** For downloads: their sockets may be idle while the body is not read. */
  readonly transferClient: ClientS3.S3Client
  /** Signs download links. Their endpoint may have another name for browsers. */
  readonly presignClient: ClientS3.S3Client
}

/** The agents of S3 clients. Bodies use separate sockets, so that calls never wait for a paused body's socket. */
interface S3Agents {
  readonly agents: EgressAgents
  readonly transferAgents: EgressAgents
}

export interface OpenOptions extends S3Agents {
  readonly timeouts: Timeouts
  /** Default: `native` for AWS, `emulated` for all other endpoints. */
  readonly preconditions?: Preconditions
}

/** Opens a bucket without a request. @throws StorageError `SDK_MISSING` */
export async function openSession(
  settings: S3Settings,
  { agents, transferAgents, timeouts, preconditions }: OpenOptions
): Promise<S3Session> {
  const sdk = await importSdk('@aws-sdk/client-s3', import('@aws-sdk/client-s3'))
  const options = { sdk, settings, timeouts }
  const client = createClient({ ...options, agents, purpose: 'calls' })
  const { publicEndpoint } = settings
  const presignClient =
    publicEndpoint === null
      ? client
      : createClient({ ...options, agents, settings: { ...settings, endpoint: publicEndpoint }, purpose: 'calls' })
  return {
    sdk,
    bucket: settings.bucket,
    keys: new Keys(settings.prefix),
    account: { id: accountIdOf(settings), name: labelOf(settings), email: null, quota: null },
    timeouts,
    preconditions: preconditions ?? (isAws(settings) ? 'native' : 'emulated'),
    client,
    uploadClient: createClient({ ...options, agents: transferAgents, purpose: 'calls' }),
    transferClient: createClient({ ...options, agents: transferAgents, purpose: 'transfers' }),
    presignClient
  }
}

/**
 * Sends one request. Rejects with the signal's reason after an abort, and with a StorageError otherwise.
 *
 * @param missing the meaning of a 404
 */
export function callS3<T>(
  call: Call,
  missing: NotFoundCode,
  send: (options: { abortSignal: AbortSignal }) => Promise<T>
): Promise<T> {
  return mapErrors(
    call,
    (error) => toStorageError(error, missing),
    () => send({ abortSignal: call.signal })
  )
}

let sharedAgents: S3Agents | undefined

/**
 * Returns the agents for the host's own stores, to which no egress rule applies. A user's request must never use one
 * of their sockets; connections have agents of their own.
 */
export function managedAgents(): S3Agents {
  return (sharedAgents ??= { agents: createAgents(), transferAgents: createAgents() })
}

function createAgents(): EgressAgents {
  return { http: new HttpAgent(AGENT_OPTIONS), https: new HttpsAgent(AGENT_OPTIONS) }
}

/** Without a logger, the handler writes to the console about busy sockets. */
const SILENT_LOGGER = { trace: noop, debug: noop, info: noop, warn: noop, error: noop }

function noop(): void {}

interface ClientOptions {
  readonly sdk: S3Sdk
  readonly settings: S3Settings
  readonly agents: EgressAgents
  readonly timeouts: Timeouts
  /** `transfers`: a socket may be idle while its body is not read. */
  readonly purpose: 'calls' | 'transfers'
}

/**
 * Creates a client that uses this configuration only. By default an SDK client reads missing credentials, regions,
 * endpoints and modes from the environment, files and the instance's metadata service.
 */
function createClient({ sdk, settings, agents, timeouts, purpose }: ClientOptions): ClientS3.S3Client {
  // The newer checksums are a trailer of a chunked body, which other servers refuse, or store as content.
  const checksums = isAws(settings) ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED'
  const client = new sdk.S3Client({
    region: settings.region,
    ...(settings.endpoint === null ? { ignoreConfiguredEndpointUrls: true } : { endpoint: settings.endpoint }),
    forcePathStyle: settings.forcePathStyle,
    credentials: { accessKeyId: settings.accessKeyId, secretAccessKey: settings.secretAccessKey.reveal() },
    userAgentAppId: 'fastify-cloud-storage',
    // Retries are a layer of ours.
    maxAttempts: 1,
    retryMode: 'standard',
    followRegionRedirects: false,
    useArnRegion: false,
    useFipsEndpoint: false,
    useDualstackEndpoint: false,
    disableMultiregionAccessPoints: true,
    disableS3ExpressSessionAuth: true,
    authSchemePreference: ['sigv4'],
    requestChecksumCalculation: checksums,
    responseChecksumValidation: checksums,
    // Many servers and proxies answer `Expect: 100-continue` late or not at all.
    expectContinueHeader: false,
    logger: SILENT_LOGGER,
    requestHandler: {
      httpAgent: agents.http,
      httpsAgent: agents.https,
      connectionTimeout: timeouts.connectMs,
      requestTimeout: timeouts.headersMs,
      throwOnRequestTimeout: true,
      socketTimeout: purpose === 'calls' ? timeouts.idleMs : 0,
      logger: SILENT_LOGGER
    }
  })
  readResponses(client, timeouts)
  addUserAgent(client)
  return client
}

/** `User-Agent` is never part of a signature. */
function addUserAgent(client: ClientS3.S3Client): void {
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> }
      headers['user-agent'] = userAgentWith(headers['user-agent'])
      return next(args)
    },
    { step: 'finalizeRequest', priority: 'high', name: 'sendUserAgent' }
  )
}
