/** Media types by file extension, for providers that send none (S3 listings, some WebDAV servers). */
const TYPES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    application: 'pdf json zip xml rtf gzip:gz x-tar:tar x-7z-compressed:7z vnd.rar:rar msword:doc',
    'application/vnd.openxmlformats-officedocument':
      'wordprocessingml.document:docx spreadsheetml.sheet:xlsx presentationml.presentation:pptx',
    'application/vnd': 'ms-excel:xls ms-powerpoint:ppt',
    'application/vnd.oasis.opendocument': 'text:odt spreadsheet:ods presentation:odp',
    audio: 'mpeg:mp3 wav ogg flac mp4:m4a',
    image: 'png jpeg:jpg jpeg gif webp svg+xml:svg bmp tiff:tif tiff avif heic',
    text: 'plain:txt markdown:md csv html html:htm css',
    video: 'mp4 quicktime:mov webm x-matroska:mkv mpeg:mpg'
  }).flatMap(([family, types]) =>
    types.split(' ').map((each) => {
      const [type = '', ending = type] = each.split(':')
      return [ending, `${family}${family.includes('/') ? '.' : '/'}${type}`]
    })
  )
)

export function mediaTypeOf(name: string): string | null {
  return TYPES.get(name.slice(name.lastIndexOf('.') + 1).toLowerCase()) ?? null
}
