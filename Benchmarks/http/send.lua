-- wrk sends the file BODY_FILE as JSON by METHOD.
local file = assert(io.open(os.getenv("BODY_FILE"), "rb"))
wrk.method = os.getenv("METHOD")
wrk.headers["Content-Type"] = "application/json"
wrk.body = file:read("*a")
file:close()
