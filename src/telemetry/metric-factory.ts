import type * as PromClient from 'prom-client'
import type { EndWatch } from '../core/telemetry.ts'

/** The members of a `prom-client` registry in use; the host passes its own. */
export type MetricsRegistry = Pick<PromClient.Registry, 'registerMetric' | 'getSingleMetric'>

type Labels = Readonly<Record<string, string>>

/** The current value of one series of a gauge. */
export interface GaugeSample {
  readonly labels: Labels
  readonly value: number
}

interface MetricDefinition {
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

interface SourcedMetric {
  readonly [SOURCES]: Set<() => void>
}

/** Creates metrics on a registry, or finds those of another plugin there. Uses the host's copy of `prom-client`. */
export class MetricFactory {
  readonly #registry: MetricsRegistry
  readonly #promClient: Pick<typeof PromClient, 'Counter' | 'Gauge' | 'Histogram'>

  constructor(registry: MetricsRegistry, promClient: Pick<typeof PromClient, 'Counter' | 'Gauge' | 'Histogram'>) {
    this.#registry = registry
    this.#promClient = promClient
  }

  counter(name: string, help: string, ...labelNames: string[]): Pick<PromClient.Counter, 'inc'> {
    const { Counter } = this.#promClient
    const definition = { type: 'counter', name, help, labelNames } as const
    return this.#findOrCreate(definition, () => new Counter({ name, help, labelNames, registers: [] }))
  }

  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    ...labelNames: string[]
  ): Pick<PromClient.Histogram, 'observe'> {
    const { Histogram } = this.#promClient
    const definition = { type: 'histogram', name, help, labelNames } as const
    const create = () => new Histogram({ name, help, labelNames, buckets: [...buckets], registers: [] })
    return this.#findOrCreate(definition, create)
  }

  /** Creates a counter of the sum of all sources. When a source ends, its part remains. */
  summedCounter(name: string, help: string): (read: () => number) => EndWatch {
    const { Counter } = this.#promClient
    const counter = this.#findOrCreateSourced({ type: 'counter', name, help, labelNames: [] }, (sources) => {
      const collect = (): void => {
        for (const add of sources) add()
      }
      return new Counter({ name, help, collect, registers: [] })
    })
    return (read) => {
      let reported = 0
      const add = (): void => {
        const current = read()
        counter.inc(current - reported)
        reported = current
      }
      const stop = addSource(counter, add)
      return () => {
        if (stop()) add()
      }
    }
  }

  /** Creates a gauge of the sum of all sources. Without a source it has no series. */
  summedGauge(name: string, help: string, ...labelNames: string[]): (read: () => Iterable<GaugeSample>) => EndWatch {
    const { Gauge } = this.#promClient
    const gauge = this.#findOrCreateSourced({ type: 'gauge', name, help, labelNames }, (sources) => {
      const collect = function (this: PromClient.Gauge): void {
        this.reset()
        // `reset` sets a gauge without labels to 0, but without a source it must have no value.
        this.remove({})
        for (const add of sources) add()
      }
      return new Gauge({ name, help, labelNames, collect, registers: [] })
    })
    return (read) =>
      addSource(gauge, () => {
        for (const { labels, value } of read()) gauge.inc(labels, value)
      })
  }

  #findOrCreateSourced<M extends PromClient.Metric>(
    definition: MetricDefinition,
    create: (sources: Set<() => void>) => M
  ): M & SourcedMetric {
    const metric = this.#findOrCreate(definition, () => {
      const sources = new Set<() => void>()
      return Object.assign(create(sources), { [SOURCES]: sources })
    })
    // The metric belongs to the host, or to another library.
    if (!(SOURCES in metric)) throw metricConflict(definition.name)
    return metric
  }

  #findOrCreate<M extends PromClient.Metric>(definition: MetricDefinition, create: () => M): M {
    const existing: unknown = this.#registry.getSingleMetric(definition.name)
    if (existing === undefined) {
      const created = create()
      this.#registry.registerMetric(created)
      return created
    }
    const { type, labelNames = [] } = existing as Partial<MetricDefinition>
    // Checked now, since a mismatch would otherwise fail in the middle of a request.
    if (type !== definition.type || labelNames.join() !== definition.labelNames.join())
      throw metricConflict(definition.name)
    return existing as M
  }
}

/** @returns a function that ends the watch, and returns whether it was still active */
function addSource(metric: SourcedMetric, add: () => void): () => boolean {
  metric[SOURCES].add(add)
  return () => metric[SOURCES].delete(add)
}

function metricConflict(name: string): Error {
  return new Error(`metrics.registry has a different metric named ${name}`)
}
