import type * as ClientS3 from '@aws-sdk/client-s3'
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import type { Call } from '../../core/backend.ts'
import type { EgressAgents } from '../../core/egress.ts'
import type { Timeouts } from '../../core/stores.ts'
import { userAgentWith } from '../../net/http-client.ts'
import type { NotFoundCode } from '../shared/errors.ts'
import type { Keys } from './entries.ts'
import { toStorageError } from './errors.ts'
import { readResponses } from './responses.ts'
import { isAws, type S3Settings } from './settings.ts'

/** Without a logger, the handler writes to the console about busy sockets. */
const SILENT_LOGGER = { trace: noop, debug: noop, info: noop, warn: noop, error: noop }

export interface ClientOptions {
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
export function createClient({ sdk, settings, agents, timeouts, purpose }: ClientOptions): S3Client {
  const config: S3ClientConfig = {
    region: settings.region,
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
  }
  if (settings.endpoint === null) {
    config.ignoreConfiguredEndpointUrls = true
  } else {
    config.endpoint = settings.endpoint
  }
  if (!isAws(settings)) {
    // The newer checksums are a trailer of a chunked body, which other servers refuse, or store as content.
    config.requestChecksumCalculation = 'WHEN_REQUIRED'
    config.responseChecksumValidation = 'WHEN_REQUIRED'
  } else {
    config.requestChecksumCalculation = 'WHEN_SUPPORTED'
    config.responseChecksumValidation = 'WHEN_SUPPORTED'
  }
  const client = new sdk.S3Client(config)
  readResponses(client, timeouts)
  addUserAgent(client)
  return client
}

/** `User-Agent` is never part of a signature. */
function addUserAgent(client: S3Client): void {
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> }
      headers['user-agent'] = userAgentWith(headers['user-agent'])
      return next(args)
    },
    { step: 'finalizeRequest', priority: 'high', name: 'sendUserAgent' }
  )
}

function noop(): void {}

/** The SDK's module, imported when the first bucket is opened. */
export type S3Sdk = typeof ClientS3

/**
 * `native`: the server is known to check `If-Match` and `If-None-Match` of writes. `emulated`: it may ignore them, so
 * the backend checks before the write, and sends the headers as well.
 */
export type Preconditions = 'native' | 'emulated'

/** An open bucket, used by every operation of the backend. */
export interface Bucket {
  readonly sdk: S3Sdk
  readonly name: string
  readonly keys: Keys
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

/**
 * Makes one call to the server. Rejects with the signal's reason after an abort, and with a StorageError otherwise.
 *
 * @param missing the meaning of a 404
 */
export async function mapErrors<T>(
  { signal }: Call,
  missing: NotFoundCode,
  send: (options: { abortSignal: AbortSignal }) => Promise<T>
): Promise<T> {
  signal.throwIfAborted()
  try {
    return await send({ abortSignal: signal })
  } catch (error) {
    signal.throwIfAborted()
    throw toStorageError(error, missing)
  }
}
