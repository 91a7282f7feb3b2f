export type { components, operations, paths } from './api-types.ts'
export {
  type Address,
  type CloudPaths,
  type CloudStorageClient,
  type CloudStorageClientOptions,
  type Connection,
  createCloudStorageClient,
  type Entry,
  type HeaderValues,
  type Listing,
  type Problem,
  type Provider
} from './client.ts'
export { fileNameOf } from './file-name.ts'
