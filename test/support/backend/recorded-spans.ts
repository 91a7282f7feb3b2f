import { AsyncLocalStorage } from 'node:async_hooks'
import {
  type Attributes,
  type Context,
  context,
  type ContextManager,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Tracer
} from '@opentelemetry/api'
import type { Test } from 'tap'

/** A span that records everything set on it. */
export class RecordedSpan implements Span {
  readonly name: string
  readonly kind: SpanKind
  /** Name and version of the tracer. */
  readonly tracer: string
  readonly parent: RecordedSpan | undefined
  readonly attributes: Attributes
  status: { code: SpanStatusCode; message?: string } = { code: SpanStatusCode.UNSET }
  readonly events: unknown[] = []
  endCount = 0
  readonly #context: SpanContext

  constructor(
    tracer: string,
    name: string,
    { kind = SpanKind.INTERNAL, attributes }: SpanOptions,
    parentContext: Context,
    number: number
  ) {
    this.tracer = tracer
    this.name = name
    this.kind = kind
    this.attributes = { ...attributes }
    const parent = trace.getSpan(parentContext)
    this.parent = parent instanceof RecordedSpan ? parent : undefined
    this.#context = {
      traceId: '1'.padStart(32, '0'),
      spanId: String(number).padStart(16, '0'),
      traceFlags: TraceFlags.SAMPLED
    }
  }

  spanContext(): SpanContext {
    return this.#context
  }

  setAttribute(key: string, value: Attributes[string]): this {
    this.attributes[key] = value
    return this
  }

  setAttributes(attributes: Attributes): this {
    Object.assign(this.attributes, attributes)
    return this
  }

  addEvent(...event: unknown[]): this {
    this.events.push(event)
    return this
  }

  addLink(link: unknown): this {
    this.events.push(link)
    return this
  }

  addLinks(links: unknown[]): this {
    this.events.push(...links)
    return this
  }

  setStatus(status: RecordedSpan['status']): this {
    this.status = status
    return this
  }

  updateName(): this {
    throw new Error('a span keeps its name')
  }

  recordException(exception: unknown): void {
    this.events.push(exception)
  }

  end(): void {
    this.endCount += 1
  }

  isRecording(): boolean {
    return this.endCount === 0
  }
}

class AsyncContexts implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>()

  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    active: Context,
    callback: F,
    self?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return this.#storage.run(active, () => callback.apply(self, args))
  }

  bind<T>(_context: Context, target: T): T {
    return target
  }

  enable(): this {
    return this
  }

  disable(): this {
    return this
  }
}

/** Registers a tracer provider, as a host does. Returns all spans of this process until the end of the test. */
export function recordSpans(t: Test): readonly RecordedSpan[] {
  const spans: RecordedSpan[] = []
  const tracerOf = (name: string, version = 'no version'): Tracer => {
    const startSpan: Tracer['startSpan'] = (spanName, options = {}, parentContext = context.active()) => {
      const span = new RecordedSpan(`${name} ${version}`, spanName, options, parentContext, spans.length + 1)
      spans.push(span)
      return span
    }
    const startActiveSpan = (spanName: string, ...rest: unknown[]): unknown => {
      const callback = rest.pop() as (span: Span) => unknown
      const [options, parentContext = context.active()] = rest as [SpanOptions?, Context?]
      const span = startSpan(spanName, options, parentContext)
      return context.with(trace.setSpan(parentContext, span), () => callback(span))
    }
    return { startSpan, startActiveSpan }
  }
  context.setGlobalContextManager(new AsyncContexts())
  trace.setGlobalTracerProvider({ getTracer: tracerOf })
  t.teardown(() => {
    trace.disable()
    context.disable()
  })
  return spans
}
