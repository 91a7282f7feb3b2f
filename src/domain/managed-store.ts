/** The host application's own S3-compatible store (MinIO, Ceph, AWS …). Trusted: no egress rule applies to it. */
export interface ManagedS3Options {
  readonly type: 's3'
  /** `https://host[:port]`. Default: AWS. */
  readonly endpoint?: string
  /** Replaces `endpoint` in download links, if browsers reach the store at another address. */
  readonly publicEndpoint?: string
  /** Default `us-east-1`. */
  readonly region?: string
  readonly bucket: string
  /** Key prefix of all objects; it ends with `/`. */
  readonly prefix?: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** Default: true with an `endpoint`, false without one. */
  readonly forcePathStyle?: boolean
}

/** Files in a local folder, for development and single-machine installations. */
export interface ManagedDiskOptions {
  readonly type: 'disk'
  readonly directory: string
}

/** A store for the documents that the host application manages itself. */
export type ManagedStoreOptions = ManagedS3Options | ManagedDiskOptions
