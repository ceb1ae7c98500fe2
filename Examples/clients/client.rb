# Martlet with Ruby's standard library: a job, a map whose results come while it runs, a refusal.
require "json"
require "net/http"
require "securerandom"

class Martlet
  # An answer by RFC 9457.
  class Problem < StandardError
    def initialize(document)
      super("#{document["status"]} #{document["detail"]}")
    end
  end

  def initialize(url = ENV.fetch("MARTLET_URL", "http://127.0.0.1:8080"), token: ENV["MARTLET_TOKEN"])
    @url = URI(url)
    @token = token
  end

  # The id of the new job, which is on the server's disk by then.
  def submit(**job)
    # The key makes a repeat after a lost answer the same job.
    request = Net::HTTP::Post.new(
      "/v1/jobs",
      "Content-Type" => "application/json", "Idempotency-Key" => SecureRandom.uuid)
    request.body = JSON.generate(job)
    JSON.parse(ask(request, &:read_body))["id"]
  end

  # Waits for the job's result, at most 30 s.
  def result(id)
    JSON.parse(ask(Net::HTTP::Get.new("/v1/jobs/#{id}/result?wait=30"), &:read_body))
  end

  # Yields each item's line, in their order, while the job runs.
  def items(id)
    ask(Net::HTTP::Get.new("/v1/jobs/#{id}/items?wait=30")) do |answer|
      rest = +""
      answer.read_body do |text|
        rest << text
        while (line = rest.slice!(/.*\n/))
          yield line
        end
      end
    end
  end

  private

  def ask(request)
    request["Authorization"] = "Bearer #{@token}" if @token
    Net::HTTP.start(@url.host, @url.port, use_ssl: @url.scheme == "https", read_timeout: 60) do |http|
      http.request(request) do |answer|
        raise Problem, JSON.parse(answer.read_body) unless answer.is_a?(Net::HTTPSuccess)
        return yield answer
      end
    end
  end
end

martlet = Martlet.new
puts "square(12) = #{martlet.result(martlet.submit(function: "square", args: [12]))}"

martlet.items(martlet.submit(function: "square", map: [1, 2, 3, 4, 5])) { |line| puts line }

begin
  martlet.submit(function: "squere", args: [12])
rescue Martlet::Problem => problem
  puts problem.message
end
