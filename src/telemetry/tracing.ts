import type * as OpenTelemetry from '@opentelemetry/api'
import { isStorageError } from '../errors.ts'
import type { Tracing } from '../core/telemetry.ts'
import { VERSION } from '../net/http-client.ts'

const TRACER_NAME = 'fastify-cloud-storage'
/** OpenTelemetry's value for an error without a code. */
const OTHER_ERROR = '_OTHER'

type Api = Pick<typeof OpenTelemetry, 'trace' | 'SpanKind' | 'SpanStatusCode'>

/**
 * Creates spans with the provider that the host has registered with `@opentelemetry/api`, before or after this call.
 * Returns {@link NO_TRACING} if that package is not installed.
 */
export async function createTracing(load: () => Promise<Api> = () => import('@opentelemetry/api')): Promise<Tracing> {
  let api: Api
  try {
    api = await load()
  } catch (error) {
    if (isNotInstalled(error)) return NO_TRACING
    throw error
  }
  const { trace, SpanKind, SpanStatusCode } = api
  const tracer = trace.getTracer(TRACER_NAME, VERSION)
  return {
    span: (name, attributes, work) =>
      // Active, so that it is the parent of an instrumented HTTP client's spans.
      tracer.startActiveSpan(name, { kind: SpanKind.CLIENT, attributes }, async (span) => {
        try {
          return await work()
        } catch (error) {
          span.setAttribute('error.type', isStorageError(error) ? error.code : OTHER_ERROR)
          // Without the message, which may contain private data.
          span.setStatus({ code: SpanStatusCode.ERROR })
          throw error
        } finally {
          span.end()
        }
      })
  }
}

/** Used without OpenTelemetry. */
export const NO_TRACING: Tracing = { span: (_name, _attributes, work) => work() }

/**
 * Returns true if the package itself is missing, as opposed to one of its files or dependencies. Checks the messages
 * of Node and of Yarn's Plug'n'Play: a loader in its own thread may lose the error's code.
 */
function isNotInstalled(error: unknown): boolean {
  const text = error instanceof Error ? error.message : ''
  return /Cannot find (?:package|module) '@opentelemetry\/api'|tried to access @opentelemetry\/api\b/.test(text)
}
