import type * as OpenTelemetry from '@opentelemetry/api'
import { isStorageError } from '../domain/errors.ts'
import type { Tracing } from '../domain/tracing.ts'
import { VERSION } from './net/user-agent.ts'

const NAME = 'fastify-cloud-storage'
/** What OpenTelemetry calls an error that has no code. */
const OTHER_ERROR = '_OTHER'

type Api = Pick<typeof OpenTelemetry, 'trace' | 'SpanKind' | 'SpanStatusCode'>

/**
 * Spans by what the host has registered with `@opentelemetry/api`, before or after this. A host without that package
 * gets {@link NO_TRACING}.
 */
export async function createTracing(load: () => Promise<Api> = () => import('@opentelemetry/api')): Promise<Tracing> {
  let api: Api
  try {
    api = await load()
  } catch (error) {
    if (isAbsent(error)) return NO_TRACING
    throw error
  }
  const { trace, SpanKind, SpanStatusCode } = api
  const tracer = trace.getTracer(NAME, VERSION)
  return {
    span: (name, attributes, work) =>
      // Active, so that the spans of an HTTP client that is instrumented are below it.
      tracer.startActiveSpan(name, { kind: SpanKind.CLIENT, attributes }, async (span) => {
        try {
          return await work()
        } catch (error) {
          span.setAttribute('error.type', isStorageError(error) ? error.code : OTHER_ERROR)
          // Without its message, which may name what is nobody's business.
          span.setStatus({ code: SpanStatusCode.ERROR })
          throw error
        } finally {
          span.end()
        }
      })
  }
}

/** Where nobody traces. */
export const NO_TRACING: Tracing = { span: (_name, _attributes, work) => work() }

/**
 * Whether it is the package that was not found, and not a file of it or another that it needs. By the words of Node and
 * of Yarn's Plug'n'Play: a loader in a thread of its own may lose the code on its way here.
 */
function isAbsent(error: unknown): boolean {
  const text = error instanceof Error ? error.message : ''
  return /Cannot find (?:package|module) '@opentelemetry\/api'|tried to access @opentelemetry\/api\b/.test(text)
}
