// Loaded before Open Operator: what it sends to the models' providers goes to the gateway instead. Its SDKs, as locked, take
// no base URL. Nothing of the agent is changed; PROTEGE_GATEWAY is the address, with the agent's name.
const gateway = process.env.PROTEGE_GATEWAY;
const providers = ["https://api.anthropic.com/", "https://generativelanguage.googleapis.com/", "https://api.openai.com/"];
const fetched = globalThis.fetch;

function turned(address) {
  const provider = providers.find((each) => address.startsWith(each));
  return provider && `${gateway}/${address.slice(provider.length)}`;
}

if (gateway && !fetched.isTurned) {
  globalThis.fetch = (asked, options) => {
    const isRequest = asked instanceof Request;
    const address = turned(isRequest ? asked.url : String(asked));
    if (!address) return fetched(asked, options);
    return fetched(isRequest ? new Request(address, asked) : address, options);
  };
  globalThis.fetch.isTurned = true;
}
