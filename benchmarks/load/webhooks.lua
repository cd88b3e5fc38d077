-- wrk's requests: webhooks of TMS, no two alike, so that none is taken for the retry of another.
-- Arguments: path, authorization, bytes of the body, number of entities, `envelope` for RabbitMQ's own API,
-- `differing` for a head that differs each time, as a proxy makes it.

local start, rest, before, middle, after
local differing = false
local count, entities = 0, 1

local function body_of(size)
  before = '{"Id":'
  middle = ',"ExternalId":"'
  after = '","Name":"Azure Administrator","ConfirmationStatusId":0,"Enabled":true,"CourseId":1024,' ..
    '"OrganizationId":77,"OrganizationName":"Contoso","TimeZoneId":"Eastern Standard Time","MinStudents":4,' ..
    '"MaxStudents":20,"Start":1764000000,"End":1764028800,"DeliveryTypeId":10,"IsPublic":false,' ..
    '"AllowSelfEnrollment":true,"DisableLabs":false,"Description":"'
  local used = #before + 7 + #middle + 16 + #after + 2
  after = after .. string.rep("x", math.max(0, size - used)) .. '"}'
end

local function escape(text)
  return (text:gsub('"', '\\"'))
end

function init(arguments)
  local path, authorization, size = arguments[1], arguments[2], tonumber(arguments[3])
  entities = tonumber(arguments[4])
  body_of(size)
  if arguments[5] == "envelope" then
    before = '{"properties":{"delivery_mode":2,"content_type":"application/json"},' ..
      '"routing_key":"tms.class.scheduled","payload_encoding":"string","payload":"' .. escape(before)
    middle, after = escape(middle), escape(after) .. '"}'
  end
  local length = #before + 7 + #middle + 16 + #after
  differing = arguments[6] == "differing"
  start = "POST " .. path .. " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: " .. authorization .. "\r\n"
  rest = "Content-Type: application/json\r\nContent-Length: " .. length .. "\r\n\r\n" .. before
  math.randomseed(os.time())
  count = math.random(1, 900000) * 1000000000
end

function request()
  count = count + 1
  local marks = ""
  if differing then
    marks = string.format("X-Request-Id: %032x\r\ntraceparent: 00-%032x-%016x-01\r\n", count, count, count)
  end
  return start .. marks .. rest .. string.format("%07d", 1000000 + count % entities) .. middle ..
    string.format("%016.0f", count) .. after
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"p999_ms":%.3f,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    latency:percentile(99.9) / 1000, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
