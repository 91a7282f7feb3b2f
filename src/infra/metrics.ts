import type { Registry } from 'prom-client'
import type { Metrics } from '../domain/ports.ts'

/** What of a registry of `prom-client` is used; a host hands in its own. */
export type MetricsRegistry = Pick<Registry, 'registerMetric' | 'getSingleMetric'>

interface Countable<Label extends string> {
  inc(labels: Readonly<Record<Label, string>>): void
}

/** Counts on the host's registry. Several plugins on one registry count together. */
export async function createMetrics(registry: MetricsRegistry): Promise<Metrics> {
  const { Counter: PrometheusCounter } = await import('prom-client')

  function counter<Label extends string>(name: string, help: string, labelNames: Label[]): Countable<Label> {
    // Of the host's copy of the package, which may be another than ours.
    const known: unknown = registry.getSingleMetric(name)
    if (known !== undefined) return known as Countable<Label>
    const made = new PrometheusCounter({ name, help, labelNames, registers: [] })
    registry.registerMetric(made)
    return made
  }

  const unreadable = counter(
    'cloud_storage_credentials_unreadable_total',
    'Stored credentials that no key of the ring opens, or that were altered',
    ['provider']
  )
  return {
    credentialsUnreadable: (provider) => {
      unreadable.inc({ provider })
    }
  }
}

/** Where nobody counts. */
export const NO_METRICS: Metrics = { credentialsUnreadable: () => {} }
