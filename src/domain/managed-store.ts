/** The host's own S3-compatible store (MinIO, Ceph, AWS …). Trusted: no egress rule applies to it. */
export interface ManagedS3Options {
  readonly type: 's3'
  /** `https://host[:port]`; left out: AWS. */
  readonly endpoint?: string
  /** What download links name instead of `endpoint`, where browsers reach the store by another address. */
  readonly publicEndpoint?: string
  /** Default `us-east-1`. */
  readonly region?: string
  readonly bucket: string
  /** Everything happens below this key prefix; it ends with `/`. */
  readonly prefix?: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** Default: true with an `endpoint`, false without. */
  readonly forcePathStyle?: boolean
}

/** Files below one folder of the machine, for one machine and for development. */
export interface ManagedDiskOptions {
  readonly type: 'disk'
  readonly directory: string
}

/** Where the host keeps the documents that it manages itself. */
export type ManagedStoreOptions = ManagedS3Options | ManagedDiskOptions
