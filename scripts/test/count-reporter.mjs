// A node:test reporter: at the end one JSON object of counts, with the names of what failed and what was skipped.
export default async function* countReporter(source) {
  const counts = { passed: 0, failed: 0, skipped: [], failures: [] };
  const parents = new Map(); // nesting -> how many children were seen below it since the last test at that level
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const hadChildren = (parents.get(data.nesting + 1) ?? 0) > 0;
    parents.set(data.nesting + 1, 0);
    parents.set(data.nesting, (parents.get(data.nesting) ?? 0) + 1);
    const isSkipped = data.skip !== undefined && data.skip !== false;
    if (type === 'test:fail') {
      if (hadChildren && data.details?.error?.failureType === 'subtestsFailed') continue;
      counts.failed += 1;
      counts.failures.push(data.name);
    } else if (isSkipped) {
      counts.skipped.push(typeof data.skip === 'string' && data.skip !== '' ? `${data.name}: ${data.skip}` : data.name);
    } else if (data.details?.type !== 'suite' && !hadChildren) {
      counts.passed += 1;
    }
  }
  yield JSON.stringify(counts);
}
