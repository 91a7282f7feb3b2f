import type * as PromClient from 'prom-client'
import type { EndWatch } from '../core/telemetry.ts'

/** The members of a `prom-client` registry in use; the host passes its own. */
export type MetricsRegistry = Pick<PromClient.Registry, 'registerMetric' | 'getSingleMetric'>

type Labels = Readonly<Record<string, string>>

/** The current value of one series of a gauge. */
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
 * The sources of a metric, each of which adds its part when the metric is read. They are stored on the metric, under
 * a symbol known to all copies of this package: plugins that share a registry must find the first one's metrics.
 */
const SOURCES = Symbol.for('fastify-cloud-storage.metric-sources')

interface Watched {
  readonly [SOURCES]: Set<() => void>
}

/** Creates metrics on a registry, or finds those of another plugin there. Uses the host's copy of `prom-client`. */
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

  /** Creates a counter of the sum of all sources. When a source ends, its part remains. */
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

  /** Creates a gauge of the sum of all sources. Without a source it has no series. */
  levels(name: string, help: string, ...labelNames: string[]): (read: () => Iterable<Level>) => EndWatch {
    const { Gauge } = this.#package
    const gauge = this.#findOrMakeWatched({ type: 'gauge', name, help, labelNames }, (sources) => {
      const collect = function (this: PromClient.Gauge): void {
        this.reset()
        // `reset` sets a gauge without labels to 0, but without a source it must have no value.
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
    // The metric belongs to the host, or to another library.
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
    // Checked now, since a mismatch would otherwise fail in the middle of a request.
    if (type !== shape.type || labelNames.join() !== shape.labelNames.join()) throw notOurs(shape.name)
    return known as M
  }
}

/** @returns a function that ends the watch, and returns whether it was still active */
function watch(metric: Watched, add: () => void): () => boolean {
  metric[SOURCES].add(add)
  return () => metric[SOURCES].delete(add)
}

function notOurs(name: string): Error {
  return new Error(`metrics.registry has a different metric named ${name}`)
}
