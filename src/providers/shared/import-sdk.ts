import { Diagnosis, StorageError } from '../../errors.ts'

/**
 * Imports an optional peer dependency at its first use.
 *
 * @param packageName the package to install if it is missing
 * @param load a literal `import()`, so that bundlers and readers see the package
 * @throws StorageError `SDK_MISSING`; its cause names the package, for the log
 */
export async function importSdk<T>(packageName: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    const hint = new Diagnosis(
      `Cannot load "${packageName}". Install it next to this package: npm install ${packageName}`,
      { cause: error }
    )
    throw new StorageError('SDK_MISSING', 'A package for this provider is missing on the server.', { cause: hint })
  }
}
