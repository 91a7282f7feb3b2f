import type * as PromClient from 'prom-client'
import type { EndWatch } from '../domain/metrics.ts'

/** What of a registry of `prom-client` is used; a host hands in its own. */
export type MetricsRegistry = Pick<PromClient.Registry, 'registerMetric' | 'getSingleMetric'>

type Labels = Readonly<Record<string, string>>

/** One series of a gauge, as it is now. */
export interface Level {
  readonly labels: Labels
  readonly value: number
}

interface Shape {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly name: string
  readonly help: string
  readonly labelNames: readonly string[]
}

/**
 * What a metric is made of when it is read: each adds its own part. On the metric itself and by a name that all copies
 * of this package know, since those that share a registry must find what the first one has made.
 */
const SOURCES = Symbol.for('fastify-cloud-storage.metric-sources')

interface Watched {
  readonly [SOURCES]: Set<() => void>
}

/** Makes metrics on a registry, or takes those that another plugin has made there, with the host's copy of the package. */
export class MetricMaker {
  readonly #registry: MetricsRegistry
  readonly #package: Pick<typeof PromClient, 'Counter' | 'Gauge' | 'Histogram'>

  constructor(registry: MetricsRegistry, promClient: Pick<typeof PromClient, 'Counter' | 'Gauge' | 'Histogram'>) {
    this.#registry = registry
    this.#package = promClient
  }

  counter(name: string, help: string, ...labelNames: string[]): Pick<PromClient.Counter, 'inc'> {
    const { Counter } = this.#package
    const shape = { type: 'counter', name, help, labelNames } as const
    return this.#findOrMake(shape, () => new Counter({ name, help, labelNames, registers: [] }))
  }

  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    ...labelNames: string[]
  ): Pick<PromClient.Histogram, 'observe'> {
    const { Histogram } = this.#package
    const shape = { type: 'histogram', name, help, labelNames } as const
    const make = () => new Histogram({ name, help, labelNames, buckets: [...buckets], registers: [] })
    return this.#findOrMake(shape, make)
  }

  /** A counter of what each source has counted so far. A source that ends leaves what it has added. */
  total(name: string, help: string): (read: () => number) => EndWatch {
    const { Counter } = this.#package
    const counter = this.#findOrMakeWatched({ type: 'counter', name, help, labelNames: [] }, (sources) => {
      const collect = (): void => {
        for (const add of sources) add()
      }
      return new Counter({ name, help, collect, registers: [] })
    })
    return (read) => {
      let seen = 0
      const add = (): void => {
        const now = read()
        counter.inc(now - seen)
        seen = now
      }
      const stop = watch(counter, add)
      return () => {
        if (stop()) add()
      }
    }
  }

  /** A gauge of what there is now at all sources together. Without any it has no series at all. */
  levels(name: string, help: string, ...labelNames: string[]): (read: () => Iterable<Level>) => EndWatch {
    const { Gauge } = this.#package
    const gauge = this.#findOrMakeWatched({ type: 'gauge', name, help, labelNames }, (sources) => {
      const collect = function (this: PromClient.Gauge): void {
        this.reset()
        // A gauge without labels is 0 after that, which says more than nobody there.
        this.remove({})
        for (const add of sources) add()
      }
      return new Gauge({ name, help, labelNames, collect, registers: [] })
    })
    return (read) =>
      watch(gauge, () => {
        for (const { labels, value } of read()) gauge.inc(labels, value)
      })
  }

  #findOrMakeWatched<M extends PromClient.Metric>(shape: Shape, make: (sources: Set<() => void>) => M): M & Watched {
    const metric = this.#findOrMake(shape, () => {
      const sources = new Set<() => void>()
      return Object.assign(make(sources), { [SOURCES]: sources })
    })
    // Of the host's, or of somebody else's who counts by himself.
    if (!(SOURCES in metric)) throw notOurs(shape.name)
    return metric
  }

  #findOrMake<M extends PromClient.Metric>(shape: Shape, make: () => M): M {
    const known: unknown = this.#registry.getSingleMetric(shape.name)
    if (known === undefined) {
      const made = make()
      this.#registry.registerMetric(made)
      return made
    }
    const { type, labelNames = [] } = known as Partial<Shape>
    // Found now: later it would fail in the middle of a request.
    if (type !== shape.type || labelNames.join() !== shape.labelNames.join()) throw notOurs(shape.name)
    return known as M
  }
}

/** @returns whether it was still watched */
function watch(metric: Watched, add: () => void): () => boolean {
  metric[SOURCES].add(add)
  return () => metric[SOURCES].delete(add)
}

function notOurs(name: string): Error {
  return new Error(`metrics.registry has another metric that is called ${name}`)
}
