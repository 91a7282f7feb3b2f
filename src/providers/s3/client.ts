import { Readable } from 'node:stream'
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import type { EgressAgents } from '../../domain/egress.ts'
import type { Timeouts } from '../../domain/ports.ts'
import { StorageError } from '../../domain/errors.ts'
import type { S3Sdk } from './bucket.ts'
import { isAws, type S3Settings } from './settings.ts'

/**
 * The largest answer that is no object. A page of 1000 keys of 1024 bytes, each byte percent-encoded, comes to
 * about 4 MiB; the SDK itself would buffer whatever an endpoint sends.
 */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024

/** The handler writes to the console about busy sockets unless it is given somewhere else to write. */
const SILENT = { trace: noop, debug: noop, info: noop, warn: noop, error: noop }

export interface ClientOptions {
  readonly sdk: S3Sdk
  readonly settings: S3Settings
  readonly agents: EgressAgents
  readonly timeouts: Timeouts
  /** `transfers`: a socket may be silent while its body is not being read. */
  readonly purpose: 'calls' | 'transfers'
}

/**
 * Makes a client that does what this configuration says and nothing that the environment says: an SDK client looks
 * for credentials, regions, endpoints and modes in variables, files and the instance's metadata service wherever
 * it is not told.
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
    // Many servers and proxies answer it late or not at all.
    expectContinueHeader: false,
    logger: SILENT,
    requestHandler: {
      httpAgent: agents.http,
      httpsAgent: agents.https,
      connectionTimeout: timeouts.connectMs,
      requestTimeout: timeouts.headersMs,
      throwOnRequestTimeout: true,
      socketTimeout: purpose === 'calls' ? timeouts.idleMs : 0,
      logger: SILENT
    }
  }
  if (settings.endpoint === null) {
    config.ignoreConfiguredEndpointUrls = true
  } else {
    config.endpoint = settings.endpoint
  }
  if (!isAws(settings)) {
    // The newer checksums travel as a trailer of a chunked body, which other servers refuse, or store as content.
    config.requestChecksumCalculation = 'WHEN_REQUIRED'
    config.responseChecksumValidation = 'WHEN_REQUIRED'
  } else {
    config.requestChecksumCalculation = 'WHEN_SUPPORTED'
    config.responseChecksumValidation = 'WHEN_SUPPORTED'
  }
  const client = new sdk.S3Client(config)
  limitAnswers(client)
  return client
}

function limitAnswers(client: S3Client): void {
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const result = await next(args)
      const response = result.response as { statusCode?: number; body?: unknown }
      const isObject = context.commandName === 'GetObjectCommand' && (response.statusCode ?? 0) < 300
      if (!isObject && response.body instanceof Readable) response.body = Readable.from(limited(response.body))
      return result
    },
    { step: 'deserialize', priority: 'low', name: 'limitAnswers' }
  )
}

async function* limited(body: Readable): AsyncGenerator<Buffer> {
  let received = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    received += chunk.length
    if (received > MAX_ANSWER_BYTES)
      throw new StorageError('PROVIDER_ERROR', 'The answer of the provider is too large.')
    yield chunk
  }
}

function noop(): void {}
