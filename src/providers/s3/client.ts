import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import type { EgressAgents } from '../../domain/egress.ts'
import type { Timeouts } from '../../domain/ports.ts'
import { userAgentWith } from '../../infra/net/user-agent.ts'
import type { S3Sdk } from './bucket.ts'
import { readResponses } from './responses.ts'
import { isAws, type S3Settings } from './settings.ts'

/** Without a logger, the handler writes to the console about busy sockets. */
const SILENT = { trace: noop, debug: noop, info: noop, warn: noop, error: noop }

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
    // The newer checksums are a trailer of a chunked body, which other servers refuse, or store as content.
    config.requestChecksumCalculation = 'WHEN_REQUIRED'
    config.responseChecksumValidation = 'WHEN_REQUIRED'
  } else {
    config.requestChecksumCalculation = 'WHEN_SUPPORTED'
    config.responseChecksumValidation = 'WHEN_SUPPORTED'
  }
  const client = new sdk.S3Client(config)
  readResponses(client, timeouts)
  sendUserAgent(client)
  return client
}

/** `User-Agent` is never part of a signature. */
function sendUserAgent(client: S3Client): void {
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
