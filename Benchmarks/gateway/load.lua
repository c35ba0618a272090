-- For wrk: a token from a file (one a line) with each request, if there is a file; the figures as one JSON object.
local tokens = {}
-- Milliseconds between an answer and the next request on its connection, on average; at once where nothing is said.
local pause = tonumber(os.getenv("PAUSE") or "")
local at = 0

function init(arguments)
    if not arguments[1] then return end
    for line in io.lines(arguments[1]) do
        tokens[#tokens + 1] = wrk.format("GET", nil, { Authorization = "Bearer " .. line })
    end
end

function request()
    if #tokens == 0 then return wrk.format() end
    at = at % #tokens + 1
    return tokens[at]
end

if pause then
    function delay() return math.floor(math.random() * 2 * pause + 0.5) end
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        'figures {"requests":%d,"seconds":%f,"bytes":%d,"p50":%f,"p99":%f,"status":%d,"broken":%d}\n',
        summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50) / 1e3,
        latency:percentile(99) / 1e3, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
