import type { ManagedStoreOptions } from './domain/managed-store.ts'
import { check, known, optionError, record, text } from './option-checks.ts'
import { readSettings } from './providers/s3/settings.ts'

/** Checks the option `managed`. @throws TypeError that names the option */
export function managedStores(
  given: Readonly<Record<string, ManagedStoreOptions>> | undefined
): Map<string, ManagedStoreOptions> {
  const stores = new Map<string, ManagedStoreOptions>()
  for (const [name, value] of Object.entries(record('managed', given ?? {}))) {
    const path = `managed.${name}`
    const store = record(path, value)
    if (store.type === 'disk') {
      known(path, store, ['type', 'directory'])
      text(`${path}.directory`, store.directory)
    } else {
      check(store.type === 's3', `${path}.type`, 'must be "s3" or "disk"')
      checkManagedS3(path, store)
    }
    stores.set(name, value as ManagedStoreOptions)
  }
  return stores
}

function checkManagedS3(path: string, store: Record<string, unknown>): void {
  const { type, credentials: given, ...settings } = store
  known(path, settings, ['endpoint', 'publicEndpoint', 'region', 'bucket', 'prefix', 'forcePathStyle'])
  const credentials = record(`${path}.credentials`, given)
  known(`${path}.credentials`, credentials, ['accessKeyId', 'secretAccessKey'])
  try {
    readSettings({ ...settings, ...credentials })
  } catch (error) {
    throw optionError(path, (error as Error).message)
  }
}
