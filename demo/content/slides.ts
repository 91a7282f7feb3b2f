import { escapeXml, SCHEMA_BASE_URL, createPackage, type PackagePart, RELATIONS, OFFICE_TYPE_PREFIX } from './office.ts'

const NAMESPACES = [
  `xmlns:a="${SCHEMA_BASE_URL}drawingml/2006/main"`,
  `xmlns:r="${RELATIONS}"`,
  `xmlns:p="${SCHEMA_BASE_URL}presentationml/2006/main"`
].join(' ')
const GROUP = '<p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>'
const COLOURS = [
  'dk1',
  'lt1',
  'dk2',
  'lt2',
  'accent1',
  'accent2',
  'accent3',
  'accent4',
  'accent5',
  'accent6',
  'hlink',
  'folHlink'
]

/** Returns a PowerPoint presentation with one slide, and with the master, layout and theme that it requires. */
export function pptx(lines: readonly string[]): Buffer {
  return createPackage('ppt/presentation.xml', {
    'ppt/presentation.xml': {
      type: `${OFFICE_TYPE_PREFIX}presentationml.presentation.main+xml`,
      xml:
        `<p:presentation ${NAMESPACES}><p:sldMasterIdLst><p:sldMasterId id="2147483648" r:id="rId1"/></p:sldMasterIdLst>` +
        '<p:sldIdLst><p:sldId id="256" r:id="rId2"/></p:sldIdLst>' +
        '<p:sldSz cx="9144000" cy="6858000"/><p:notesSz cx="6858000" cy="9144000"/></p:presentation>',
      relationships: { slideMaster: 'slideMasters/slideMaster1.xml', slide: 'slides/slide1.xml' }
    },
    'ppt/slideMasters/slideMaster1.xml': {
      type: `${OFFICE_TYPE_PREFIX}presentationml.slideMaster+xml`,
      xml:
        `<p:sldMaster ${NAMESPACES}><p:cSld><p:spTree>${GROUP}</p:spTree></p:cSld><p:clrMap bg1="lt1" tx1="dk1" bg2="lt2" ` +
        'tx2="dk2" accent1="accent1" accent2="accent2" accent3="accent3" accent4="accent4" accent5="accent5" ' +
        'accent6="accent6" hlink="hlink" folHlink="folHlink"/>' +
        '<p:sldLayoutIdLst><p:sldLayoutId id="2147483649" r:id="rId1"/></p:sldLayoutIdLst></p:sldMaster>',
      relationships: { slideLayout: '../slideLayouts/slideLayout1.xml', theme: '../theme/theme1.xml' }
    },
    'ppt/slideLayouts/slideLayout1.xml': {
      type: `${OFFICE_TYPE_PREFIX}presentationml.slideLayout+xml`,
      xml: `<p:sldLayout ${NAMESPACES} type="blank"><p:cSld name="Blank"><p:spTree>${GROUP}</p:spTree></p:cSld></p:sldLayout>`,
      relationships: { slideMaster: '../slideMasters/slideMaster1.xml' }
    },
    'ppt/slides/slide1.xml': slide(lines),
    'ppt/theme/theme1.xml': theme()
  })
}

function slide(lines: readonly string[]): PackagePart {
  const paragraphs = lines
    .map((line) => `<a:p><a:r><a:rPr lang="en"/><a:t>${escapeXml(line)}</a:t></a:r></a:p>`)
    .join('')
  return {
    type: `${OFFICE_TYPE_PREFIX}presentationml.slide+xml`,
    xml:
      `<p:sld ${NAMESPACES}><p:cSld><p:spTree>${GROUP}<p:sp>` +
      '<p:nvSpPr><p:cNvPr id="2" name="Text"/><p:cNvSpPr txBox="1"/><p:nvPr/></p:nvSpPr>' +
      '<p:spPr><a:xfrm><a:off x="685800" y="685800"/><a:ext cx="7772400" cy="4572000"/></a:xfrm>' +
      '<a:prstGeom prst="rect"><a:avLst/></a:prstGeom></p:spPr>' +
      `<p:txBody><a:bodyPr/><a:lstStyle/>${paragraphs}</p:txBody></p:sp></p:spTree></p:cSld></p:sld>`,
    relationships: { slideLayout: '../slideLayouts/slideLayout1.xml' }
  }
}

function theme(): PackagePart {
  const colours = COLOURS.map((name, index) => {
    const value = name.startsWith('lt')
      ? 'FFFFFF'
      : (0x1f1f1f + index * 0x0d1711).toString(16).toUpperCase().padStart(6, '0')
    return `<a:${name}><a:srgbClr val="${value}"/></a:${name}>`
  })
  const font = '<a:latin typeface="Arial"/><a:ea typeface=""/><a:cs typeface=""/>'
  const fill = '<a:solidFill><a:schemeClr val="phClr"/></a:solidFill>'
  // Each list must have three elements.
  const repeatThreeTimes = (name: string, xml: string) => `<a:${name}>${xml.repeat(3)}</a:${name}>`
  return {
    type: `${OFFICE_TYPE_PREFIX}theme+xml`,
    xml:
      `<a:theme xmlns:a="${SCHEMA_BASE_URL}drawingml/2006/main" name="Demo"><a:themeElements>` +
      `<a:clrScheme name="Demo">${colours.join('')}</a:clrScheme>` +
      `<a:fontScheme name="Demo"><a:majorFont>${font}</a:majorFont><a:minorFont>${font}</a:minorFont></a:fontScheme>` +
      `<a:fmtScheme name="Demo">${repeatThreeTimes('fillStyleLst', fill)}${repeatThreeTimes('lnStyleLst', `<a:ln w="9525">${fill}</a:ln>`)}` +
      repeatThreeTimes('effectStyleLst', '<a:effectStyle><a:effectLst/></a:effectStyle>') +
      `${repeatThreeTimes('bgFillStyleLst', fill)}</a:fmtScheme></a:themeElements></a:theme>`
  }
}
